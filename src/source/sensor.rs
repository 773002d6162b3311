//! Which hardware monitors, thermal zones and batteries are there, and what do they measure?
//!
//! sysfs has one value a file, in thousandths or millionths of the base unit; everything leaves here in base units.

use crate::model::Text;

use super::file::Root;

/// Most devices of a class that are read.
pub const MAX_DEVICES: usize = 256;

/// Most files of a device that are looked at.
const MAX_FILES: usize = 4096;

/// What a reading measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Degrees.
    Temperature,
    /// Revolutions.
    Rotation,
    /// Watts.
    Power,
    /// Volts.
    Tension,
    /// Amperes.
    Current,
    /// Joules.
    Energy,
}

/// Prefix of a file's name, what it means and how many of its units are one of the base unit.
const QUANTITIES: [(&str, Quantity, f64); 6] = [
    ("temp", Quantity::Temperature, 1e3),
    ("fan", Quantity::Rotation, 1.0),
    ("power", Quantity::Power, 1e6),
    ("in", Quantity::Tension, 1e3),
    ("curr", Quantity::Current, 1e3),
    ("energy", Quantity::Energy, 1e6),
];

/// One reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Directory in sysfs.
    pub device: Text,
    /// Driver.
    pub chip: Text,
    /// Prefix of the files.
    pub input: Text,
    /// Label, or chip and input.
    pub name: Text,
    /// What is measured.
    pub quantity: Quantity,
    /// Value; missing when the device sleeps or does not answer.
    pub value: Option<f64>,
    /// Lower limit.
    pub low: Option<f64>,
    /// Upper limit.
    pub high: Option<f64>,
    /// Limit of danger.
    pub critical: Option<f64>,
    /// Alarm of the hardware.
    pub alarm: Option<bool>,
}

/// Readings of all hwmon chips; counts in `left_out` what is not read.
pub fn hwmon(class: &Root, left_out: &mut usize) -> Vec<Reading> {
    let mut found = Vec::new();
    for device in devices(class, left_out) {
        let dir = Root::new(class.join(&device));
        let chip = word(&dir, "name").unwrap_or_else(|| device.clone());
        // reading a sleeping device would wake it
        let asleep = word(&dir, "device/power/runtime_status").is_some_and(|status| status == "suspended");
        for (input, quantity, scale) in inputs(&dir, left_out) {
            found.push(reading(&dir, &device, &chip, &input, (quantity, scale), asleep));
        }
    }
    found
}

fn reading(dir: &Root, device: &str, chip: &str, input: &str, about: (Quantity, f64), asleep: bool) -> Reading {
    let (quantity, scale) = about;
    let value = |suffix: &str| {
        if asleep {
            return None;
        }
        let number = dir.number::<f64>(format!("{input}_{suffix}")).filter(|number| number.is_finite());
        number.map(|number| number / scale)
    };
    let alarm = |suffix: &str| dir.number::<u8>(format!("{input}_{suffix}")).map(|bit| bit != 0);
    let alarms = if asleep { [None; 3] } else { [alarm("alarm"), alarm("crit_alarm"), alarm("fault")] };
    Reading {
        device: Text::from(device),
        chip: Text::from(chip),
        input: Text::from(input),
        name: word(dir, &format!("{input}_label")).map_or_else(|| Text::from(format!("{chip} {input}")), Text::from),
        quantity,
        value: value("input").or_else(|| value("average")),
        low: value("min"),
        high: value("max"),
        critical: value("crit"),
        alarm: alarms.into_iter().flatten().reduce(|a, b| a || b),
    }
}

/// Inputs of a chip in the order of their names and numbers.
fn inputs(dir: &Root, left_out: &mut usize) -> Vec<(String, Quantity, f64)> {
    let mut found: Vec<(String, Quantity, f64)> = Vec::new();
    for name in names(dir, MAX_FILES, left_out) {
        let Some(input) = name.strip_suffix("_input").or_else(|| name.strip_suffix("_average")) else { continue };
        let kind = QUANTITIES.iter().find(|(prefix, ..)| {
            input.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        });
        if let Some((_, quantity, scale)) = kind
            && found.iter().all(|(known, ..)| known != input)
        {
            found.push((input.to_owned(), *quantity, *scale));
        }
    }
    found.sort_by_cached_key(|(input, ..)| in_order(input));
    found
}

/// Sorts `temp2` before `temp10`.
fn in_order(name: &str) -> (String, usize, String) {
    (name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned(), name.len(), name.to_owned())
}

/// Most trip points of a thermal zone; the kernel's own limit was twelve, and now there is none.
const MAX_TRIPS: usize = 4096;

/// Thermal zones; counts in `left_out` what is not read. Those that hwmon shows as well have the same type as its chip.
pub fn thermal(class: &Root, left_out: &mut usize) -> Vec<Reading> {
    let mut found = Vec::new();
    for device in devices(class, left_out).into_iter().filter(|name| name.starts_with("thermal_zone")) {
        let dir = Root::new(class.join(&device));
        let degrees = |file: &str| dir.number::<f64>(file).filter(|number| number.is_finite()).map(|m| m / 1e3);
        let mut trips = (None, None);
        for trip in 0..MAX_TRIPS {
            match word(&dir, &format!("trip_point_{trip}_type")).as_deref() {
                Some("critical") => trips.1 = degrees(&format!("trip_point_{trip}_temp")),
                Some("hot") => trips.0 = degrees(&format!("trip_point_{trip}_temp")),
                Some(_) => {}
                None => break,
            }
        }
        let kind = word(&dir, "type").unwrap_or_else(|| device.clone());
        found.push(Reading {
            value: degrees("temp"),
            device: Text::from(device),
            chip: Text::from("thermal zone"),
            input: Text::from("temp"),
            name: Text::from(kind),
            quantity: Quantity::Temperature,
            low: None,
            high: trips.0,
            critical: trips.1,
            alarm: None,
        });
    }
    found
}

/// One battery.
#[derive(Clone, Debug, PartialEq)]
pub struct Battery {
    /// Directory in sysfs.
    pub name: Text,
    /// Share charged.
    pub charge: Option<f64>,
    /// Watts.
    pub power: Option<f64>,
    /// Volts.
    pub tension: Option<f64>,
    /// Degrees.
    pub temperature: Option<f64>,
    /// What it does.
    pub status: Option<Text>,
}

/// Batteries among the power supplies; counts in `left_out` what is not read.
pub fn batteries(class: &Root, left_out: &mut usize) -> Vec<Battery> {
    let mut found = Vec::new();
    for device in devices(class, left_out) {
        let dir = Root::new(class.join(&device));
        if word(&dir, "type").as_deref() != Some("Battery") || word(&dir, "present").as_deref() == Some("0") {
            continue;
        }
        let number = |file: &str| dir.number::<f64>(file).filter(|number| number.is_finite());
        let tension = number("voltage_now").map(|micro| micro / 1e6);
        let power = number("power_now").map(|micro| micro / 1e6);
        let product = || Some(number("current_now")? / 1e6 * tension?);
        found.push(Battery {
            charge: number("capacity").map(|percent| percent / 100.0),
            power: power.or_else(product),
            tension,
            temperature: number("temp").map(|tenths| tenths / 10.0),
            status: word(&dir, "status").map(Text::from),
            name: Text::from(device),
        });
    }
    found
}

/// Devices of a class with the numbers in their names in order.
fn devices(class: &Root, left_out: &mut usize) -> Vec<String> {
    names(class, MAX_DEVICES, left_out)
}

/// Names in a directory in the order of their numbers; those that are more than `most` are counted.
fn names(dir: &Root, most: usize, left_out: &mut usize) -> Vec<String> {
    let mut names: Vec<String> =
        dir.list("").into_iter().flatten().filter_map(|name| name.into_string().ok()).collect();
    names.sort_by_cached_key(|name| in_order(name));
    *left_out += names.len().saturating_sub(most);
    names.truncate(most);
    names
}

fn word(dir: &Root, file: &str) -> Option<String> {
    dir.text(file).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
