//! How hot is the machine, do its fans turn, and how full are its batteries?
//!
//! Reads hwmon chips, thermal zones and power supplies. A chip may take its time to answer, so this collector has its own
//! thread. A device that sleeps is not woken: its readings are missing. A reading that fails is missing, too, never zero.

use std::time::Duration;

use super::{Batch, Collect, Cx, Entry, Skip};
use crate::model::Text;
use crate::source::file::Root;
use crate::source::sensor::{self, MAX_DEVICES, Quantity, Reading};
use crate::table;

table! {
    /// One reading of a hardware monitor, thermal zone or battery. Of the columns for quantities one has a value, of a
    /// battery several; limits are missing where the hardware names none.
    ///
    /// Source: `Documentation/hwmon/sysfs-interface.rst`, `Documentation/driver-api/thermal/sysfs-api.rst`,
    /// `Documentation/ABI/testing/sysfs-class-power`.
    pub struct SensorRow = "sensor" { title: Some("Sensors"), history: History::Whole } {
        /// Device that measures, as the kernel numbers it.
        Id(None) device: Text { wide: true },
        /// Reading of the device.
        Id(None) input: Text { wide: true },
        /// What is measured.
        Text(None) name: Text { label: true },
        /// Driver or kind of the device.
        Text(None) chip: Text,
        /// How warm it is now.
        Gauge(Celsius) temperature: Option<f64> { title: Some("temp"), summary: Some(Fold::Max) },
        /// Temperature from which the hardware calls it hot.
        Gauge(Celsius) high: Option<f64>,
        /// Temperature from which the hardware protects itself.
        Gauge(Celsius) critical: Option<f64>,
        /// Speed of a fan.
        Gauge(RevolutionsPerMinute) rotation: Option<f64> { title: Some("fan") },
        /// Speed below which a fan counts as failed.
        Gauge(RevolutionsPerMinute) lowest_rotation: Option<f64> { wide: true },
        /// Power drawn.
        Gauge(Watts) power: Option<f64>,
        /// Electric tension.
        Gauge(Volts) tension: Option<f64>,
        /// Electric current.
        Gauge(Amperes) current: Option<f64> { wide: true },
        /// Energy used.
        Counter(Joules) energy: Option<f64> { wide: true },
        /// Share of a battery that is charged.
        Gauge(Ratio) charge: Option<f64> { summary: Some(Fold::Min) },
        /// What a battery does.
        Text(None) status: Option<Text> { wide: true },
        /// Whether the hardware raises an alarm for this reading.
        Gauge(None) alarm: Option<bool> { wide: true },
    }
    derived {
        /// Temperature for each degree of the critical one.
        heat(Ratio) = "temperature / critical" { wide: true, summary: Some(Fold::Max) },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "sensor",
    tables: &[SensorRow::TABLE],
    interval: Duration::from_secs(5),
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::new(SensorCollector),
};

struct SensorCollector;

impl Collect for SensorCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let class = |name: &str| Root::new(cx.roots.sys.join("class").join(name));
        let mut left_out = 0;
        let mut rows: Vec<SensorRow> = sensor::hwmon(&class("hwmon"), &mut left_out).into_iter().map(row).collect();
        rows.extend(sensor::thermal(&class("thermal"), &mut left_out).into_iter().map(row));
        rows.extend(sensor::batteries(&class("power_supply"), &mut left_out).into_iter().map(battery));
        out.left_out(SensorRow::TABLE, left_out, MAX_DEVICES, "devices of a class");
        if rows.is_empty() {
            let sys = cx.roots.sys.path().display();
            return Err(Skip::absent(format!("list {sys}/class/hwmon: none"))
                .hint("guests seldom have one; elsewhere load the board's driver"));
        }
        out.push(rows);
        Ok(())
    }
}

fn empty(device: Text, input: Text, name: Text, chip: Text) -> SensorRow {
    SensorRow {
        device,
        input,
        name,
        chip,
        temperature: None,
        high: None,
        critical: None,
        rotation: None,
        lowest_rotation: None,
        power: None,
        tension: None,
        current: None,
        energy: None,
        charge: None,
        status: None,
        alarm: None,
    }
}

fn row(reading: Reading) -> SensorRow {
    let mut row = empty(reading.device, reading.input, reading.name, reading.chip);
    row.alarm = reading.alarm;
    match reading.quantity {
        Quantity::Temperature => {
            (row.temperature, row.high, row.critical) = (reading.value, reading.high, reading.critical);
        }
        Quantity::Rotation => (row.rotation, row.lowest_rotation) = (reading.value, reading.low),
        Quantity::Power => row.power = reading.value,
        Quantity::Tension => row.tension = reading.value,
        Quantity::Current => row.current = reading.value,
        Quantity::Energy => row.energy = reading.value,
    }
    row
}

fn battery(found: sensor::Battery) -> SensorRow {
    let name = found.name;
    let mut row = empty(name.clone(), Text::from("charge"), name, Text::from("battery"));
    (row.charge, row.power, row.tension) = (found.charge, found.power, found.tension);
    (row.temperature, row.status) = (found.temperature, found.status);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::Tree;
    use crate::model::State;

    #[test]
    fn each_quantity_has_its_own_column_in_base_units() {
        let tree = Tree::new(&[
            ("sys/class/hwmon/hwmon2/name", "coretemp\n"),
            ("sys/class/hwmon/hwmon2/temp1_input", "45500\n"),
            ("sys/class/hwmon/hwmon2/temp1_label", "Package id 0\n"),
            ("sys/class/hwmon/hwmon2/temp1_max", "80000\n"),
            ("sys/class/hwmon/hwmon2/temp1_crit", "100000\n"),
            ("sys/class/hwmon/hwmon2/temp1_crit_alarm", "0\n"),
            ("sys/class/hwmon/hwmon2/fan2_input", "1200\n"),
            ("sys/class/hwmon/hwmon2/in0_input", "3312\n"),
            ("sys/class/hwmon/hwmon2/power1_average", "12500000\n"),
            ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
            ("sys/class/thermal/thermal_zone0/temp", "27800\n"),
            ("sys/class/thermal/thermal_zone0/trip_point_0_type", "critical\n"),
            ("sys/class/thermal/thermal_zone0/trip_point_0_temp", "119000\n"),
            ("sys/class/power_supply/BAT0/type", "Battery\n"),
            ("sys/class/power_supply/BAT0/capacity", "81\n"),
            ("sys/class/power_supply/BAT0/status", "Discharging\n"),
            ("sys/class/power_supply/BAT0/voltage_now", "12000000\n"),
            ("sys/class/power_supply/BAT0/current_now", "500000\n"),
            ("sys/class/power_supply/AC/type", "Mains\n"),
        ]);
        assert_eq!(
            tree.table(&ENTRY, SensorRow::TABLE),
            "device=hwmon2 input=fan2 name=coretemp fan2 chip=coretemp rotation=1200\n\
             device=hwmon2 input=in0 name=coretemp in0 chip=coretemp tension=3.312\n\
             device=hwmon2 input=power1 name=coretemp power1 chip=coretemp power=12.5\n\
             device=hwmon2 input=temp1 name=Package id 0 chip=coretemp temperature=45.5 high=80 critical=100 alarm=false\n\
             device=thermal_zone0 input=temp name=acpitz chip=thermal zone temperature=27.8 critical=119\n\
             device=BAT0 input=charge name=BAT0 chip=battery power=6 tension=12 charge=0.81 status=Discharging\n"
        );
    }

    #[test]
    fn a_sleeping_device_is_not_asked_and_a_bad_reading_is_missing() {
        let tree = Tree::new(&[
            ("sys/class/hwmon/hwmon0/name", "amdgpu\n"),
            ("sys/class/hwmon/hwmon0/temp1_input", "45500\n"),
            ("sys/class/hwmon/hwmon0/device/power/runtime_status", "suspended\n"),
            ("sys/class/hwmon/hwmon1/temp1_input", "rubbish\n"),
        ]);
        assert_eq!(
            tree.table(&ENTRY, SensorRow::TABLE),
            "device=hwmon0 input=temp1 name=amdgpu temp1 chip=amdgpu\n\
             device=hwmon1 input=temp1 name=hwmon1 temp1 chip=hwmon1\n"
        );
    }

    #[test]
    fn nothing_is_read_that_would_wake_a_sleeping_device() {
        let tree = Tree::new(&[
            ("sys/class/hwmon/hwmon0/name", "amdgpu\n"),
            ("sys/class/hwmon/hwmon0/temp1_input", "45500\n"),
            ("sys/class/hwmon/hwmon0/temp1_crit", "90000\n"),
            ("sys/class/hwmon/hwmon0/temp1_alarm", "0\n"),
            ("sys/class/hwmon/hwmon0/device/power/runtime_status", "suspended\n"),
        ]);
        crate::source::meter::take();
        tree.collect(&ENTRY).unwrap();
        assert_eq!(crate::source::meter::take(), "amdgpu\nsuspended\n".len() as u64);
    }

    #[test]
    fn a_guest_without_sensors_is_absent() {
        assert_eq!(Tree::new(&[]).status(&ENTRY).state, State::Absent);
    }

    #[test]
    fn devices_that_are_too_many_are_counted() {
        let tree = Tree::new(&[]);
        for n in 0..MAX_DEVICES + 2 {
            tree.write(&format!("sys/class/hwmon/hwmon{n}/temp1_input"), "1000\n");
        }
        let mut batch = tree.collect(&ENTRY).unwrap();
        assert_eq!(batch.rows(SensorRow::TABLE).unwrap().len(), MAX_DEVICES);
        let part = batch.take_partly();
        assert!(part[0].1.reason.starts_with("2 devices of a class are left out"), "{part:?}");
    }
}
