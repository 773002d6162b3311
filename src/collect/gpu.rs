//! What do the graphics processors do?
//!
//! NVIDIA's library is loaded at run time, so that a host without it needs nothing. A driver may hang, so this collector has
//! its own thread.

use std::ffi::OsStr;
use std::time::Duration;

use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor, TemperatureThreshold};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::{Batch, Collect, Cx, Entry, Reason, Skip};
use crate::model::Text;
use crate::{label, table};

label! {
    /// Whether a graphics processor answers.
    pub enum GpuState {
        /// It does.
        Ok = "ok",
        /// It has fallen off the bus, or needs a reset.
        Lost = "lost" => Critical,
        /// This user may not ask it.
        Denied = "denied",
        /// It answers with an error.
        Failed = "failed" => Warning,
    }
}

table! {
    /// One graphics processor of NVIDIA. What a model or its driver does not measure is missing, and all of one that does
    /// not answer.
    ///
    /// Source: NVML, the NVIDIA Management Library.
    pub struct GpuRow = "gpu" { title: Some("GPU"), history: History::Whole } {
        /// Position among the processors.
        Id(None) index: u64 { wide: true },
        /// Identity that NVIDIA gave it.
        Text(None) uuid: Option<Text> { title: Some("UUID"), wide: true },
        /// Model.
        Text(None) name: Text { label: true },
        /// Whether it answers.
        Text(None) state: GpuState,
        /// Share of the last moments in which it computed.
        Gauge(Ratio) used: Option<f64> { title: Some("used%"), summary: Some(Fold::Max) },
        /// Share of the last moments in which its memory was read or written.
        Gauge(Ratio) memory_busy: Option<f64> { wide: true },
        /// Share of the last moments in which it encoded video.
        Gauge(Ratio) encoder: Option<f64> { wide: true },
        /// Share of the last moments in which it decoded video.
        Gauge(Ratio) decoder: Option<f64> { wide: true },
        /// Its memory.
        Gauge(Bytes) memory_total: Option<u64> { title: Some("memory") },
        /// Its memory that is taken.
        Gauge(Bytes) memory: Option<u64> { title: Some("mem used") },
        /// How warm it is now.
        Gauge(Celsius) temperature: Option<f64> { title: Some("temp"), summary: Some(Fold::Max) },
        /// Temperature from which it slows down.
        Gauge(Celsius) high: Option<f64> { wide: true },
        /// Temperature from which it switches off.
        Gauge(Celsius) critical: Option<f64> { wide: true },
        /// Power drawn.
        Gauge(Watts) power: Option<f64>,
        /// Power that it may draw.
        Gauge(Watts) power_limit: Option<f64> { wide: true },
        /// Energy used since the driver was loaded.
        Counter(Joules) energy: Option<f64> { wide: true },
        /// Share of the fan's full speed.
        Gauge(Ratio) fan: Option<f64>,
        /// Clock frequency of the processor.
        Gauge(Hertz) frequency: Option<f64> { title: Some("freq"), wide: true },
        /// Processes that use it.
        Gauge(None) processes: Option<u64>,
    }
    derived {
        /// Share of its memory that is taken.
        memory_used(Ratio) = "memory / memory_total" { title: Some("mem%"), summary: Some(Fold::Max) },
        /// Share of the allowed power that is drawn.
        power_share(Ratio) = "power / power_limit" { title: Some("power%"), wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "gpu",
    tables: &[GpuRow::TABLE],
    interval: Duration::from_secs(2),
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<GpuCollector>::default(),
};

/// Names under which drivers install the library; only development packages have the second.
const LIBRARIES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];

#[derive(Default)]
struct GpuCollector {
    library: Option<Nvml>,
}

impl Collect for GpuCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("graphics processors are asked through a library, which a recorded tree has not"));
        }
        // a driver that is unloaded and loaded again needs a new start
        let library = match self.library.take() {
            Some(library) => library,
            None => open()?,
        };
        let count = library.device_count().map_err(skip)?;
        let mut rows = Vec::new();
        for index in 0..count {
            rows.push(match library.device_by_index(index) {
                Ok(device) => row(index, &device),
                Err(error) => silent(index, &error),
            });
        }
        self.library = Some(library);
        if rows.is_empty() {
            return Err(Skip::absent("the driver lists no graphics processor"));
        }
        out.push(rows);
        Ok(())
    }
}

fn open() -> Result<Nvml, Skip> {
    let mut last = None;
    for name in LIBRARIES {
        match Nvml::builder().lib_path(OsStr::new(name)).init() {
            Ok(library) => return Ok(library),
            Err(error) => last = last.or(Some(error)),
        }
    }
    Err(last.map_or_else(|| Skip::absent("no library is known"), skip))
}

/// What the loader says, in words; it gives no number of an error.
fn not_loaded(said: &str) -> Skip {
    if said.contains("No such file or directory") {
        return Skip::absent(format!("the library of the NVIDIA driver is not here ({})", LIBRARIES[0]));
    }
    let error = format!("load the library of the NVIDIA driver: {said}").into();
    let hint = said.contains("Too many open files").then_some(super::OUT_OF_FILES);
    Skip::Failed(Reason { error, hint })
}

fn skip(error: NvmlError) -> Skip {
    if let NvmlError::LibloadingError(cause) = &error {
        return not_loaded(&cause.to_string());
    }
    let hint = match error {
        NvmlError::FailedToLoadSymbol(_) => Some("the library is too old or another one: install that of the driver"),
        NvmlError::LibRmVersionMismatch => Some("library and kernel module differ: load the new module, or boot again"),
        _ => None,
    };
    let verdict = match error {
        NvmlError::FailedToLoadSymbol(_) | NvmlError::DriverNotLoaded | NvmlError::LibraryNotFound => Skip::Absent,
        NvmlError::NoPermission => Skip::Denied,
        _ => Skip::Failed,
    };
    verdict(Reason { error: Box::new(error), hint })
}

/// Row of a processor that does not answer.
fn silent(index: u32, error: &NvmlError) -> GpuRow {
    let state = match error {
        NvmlError::GpuLost | NvmlError::ResetRequired => GpuState::Lost,
        NvmlError::NoPermission => GpuState::Denied,
        _ => GpuState::Failed,
    };
    GpuRow {
        index: u64::from(index),
        uuid: None,
        name: Text::from(format!("GPU {index}")),
        state,
        used: None,
        memory_busy: None,
        encoder: None,
        decoder: None,
        memory_total: None,
        memory: None,
        temperature: None,
        high: None,
        critical: None,
        power: None,
        power_limit: None,
        energy: None,
        fan: None,
        frequency: None,
        processes: None,
    }
}

fn row(index: u32, device: &Device<'_>) -> GpuRow {
    let name = device.name();
    let utilization = device.utilization_rates().ok();
    let memory = device.memory_info().ok();
    let share = |percent: u32| f64::from(percent) / 100.0;
    let watts = |milliwatts: u32| f64::from(milliwatts) / 1e3;
    let limit = |kind| device.temperature_threshold(kind).ok().map(f64::from);
    GpuRow {
        index: u64::from(index),
        uuid: device.uuid().ok().map(Text::from),
        state: name.as_ref().map_or_else(|error| silent(index, error).state, |_| GpuState::Ok),
        name: name.map_or_else(|_| Text::from(format!("GPU {index}")), Text::from),
        used: utilization.as_ref().map(|rates| share(rates.gpu)),
        memory_busy: utilization.as_ref().map(|rates| share(rates.memory)),
        encoder: device.encoder_utilization().ok().map(|info| share(info.utilization)),
        decoder: device.decoder_utilization().ok().map(|info| share(info.utilization)),
        memory_total: memory.as_ref().map(|memory| memory.total),
        memory: memory.as_ref().map(|memory| memory.used),
        temperature: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
        high: limit(TemperatureThreshold::Slowdown),
        critical: limit(TemperatureThreshold::Shutdown),
        power: device.power_usage().ok().map(watts),
        power_limit: device.enforced_power_limit().ok().map(watts),
        energy: device.total_energy_consumption().ok().map(|millijoules| millijoules as f64 / 1e3),
        fan: device.fan_speed(0).ok().map(share),
        frequency: device.clock_info(Clock::Graphics).ok().map(|megahertz| f64::from(megahertz) * 1e6),
        processes: processes(device),
    }
}

/// A process that both computes and draws is counted once.
fn processes(device: &Device<'_>) -> Option<u64> {
    let (compute, graphics) = (device.running_compute_processes().ok(), device.running_graphics_processes().ok());
    if compute.is_none() && graphics.is_none() {
        return None;
    }
    let lists = compute.into_iter().chain(graphics).flatten();
    Some(lists.map(|process| process.pid).collect::<std::collections::BTreeSet<_>>().len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::{Tree, run};
    use crate::model::State;
    use crate::source::file::Roots;

    #[test]
    fn a_recorded_tree_has_no_library() {
        assert_eq!(Tree::new(&[]).status(&ENTRY).state, State::Absent);
    }

    #[test]
    fn only_a_library_that_is_not_there_is_absent() {
        let open =
            |cause: &str| not_loaded(&format!("libnvidia-ml.so.1: cannot open shared object file: {cause}")).status();
        let absent = open("No such file or directory");
        assert_eq!(absent.state, State::Absent);
        assert_eq!(absent.reason.as_str(), "the library of the NVIDIA driver is not here (libnvidia-ml.so.1)");
        assert_eq!(open("Cannot allocate memory").state, State::Failed);
        assert_eq!(open("Too many open files").hint.as_str(), crate::collect::OUT_OF_FILES);
        // what the loader of this host says of a file that is not there
        let Err(error) = Nvml::builder().lib_path(OsStr::new("libnetglance-none.so")).init() else { panic!() };
        assert_eq!(skip(error).status().state, State::Absent);
    }

    #[test]
    fn the_driver_decides_whether_the_live_host_has_rows_or_none() {
        let batch = run(&mut GpuCollector::default(), &Roots::live());
        let driver = std::path::Path::new("/proc/driver/nvidia/version").exists();
        match batch {
            Ok(batch) => assert!(driver && batch.rows(GpuRow::TABLE).is_some()),
            Err(skip) => assert!(!driver && skip.status().state == State::Absent, "{:?}", skip.status()),
        }
    }
}
