//! Where it was measured.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};
use whisper::cpu::Cpu;

/// A machine and its state. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) architecture: String,
    /// The instruction set that our engine uses on it.
    pub(crate) instruction_set: String,
    /// Processors that threads can run on here.
    pub(crate) logical_cores: usize,
    pub(crate) physical_cores: Option<usize>,
    pub(crate) memory_bytes: u64,
    pub(crate) system: String,
    pub(crate) kernel: Option<String>,
    /// Whether it shares its processor with others we cannot see.
    pub(crate) virtual_machine: Option<bool>,
    /// `mains` or `battery`.
    pub(crate) power: Option<String>,
    /// How the processor's frequency is chosen: `performance`, `powersave`, ...
    pub(crate) governor: Option<String>,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Machine {
        let wanted = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(wanted);
        let system = system.as_ref().ok();
        let brand = system.and_then(|system| Some(system.cpus().first()?.brand().trim().to_owned()));
        Machine {
            cpu: brand
                .filter(|brand| !brand.is_empty())
                .unwrap_or_else(|| "unknown".into()),
            architecture: std::env::consts::ARCH.into(),
            instruction_set: Cpu::new(Some(1)).map_or_else(|_| "unknown".into(), |cpu| cpu.isa().name().into()),
            logical_cores: threads(),
            physical_cores: System::physical_core_count().ok(),
            memory_bytes: system.map_or(0, System::total_memory),
            system: System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.into()),
            kernel: System::kernel_version().ok(),
            virtual_machine: virtual_machine(),
            power: power(Path::new("/sys/class/power_supply")),
            governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor".as_ref()),
        }
    }

    /// In a line.
    pub(crate) fn in_a_line(&self) -> String {
        let mut parts = vec![
            self.cpu.clone(),
            format!("{} cores", self.logical_cores),
            self.instruction_set.clone(),
            format!("{:.0} GB", self.memory_bytes as f64 / 1e9),
            self.system.clone(),
        ];
        if self.virtual_machine == Some(true) {
            parts.push("virtual machine".into());
        }
        if let Some(power) = &self.power {
            parts.push(format!("on {power}"));
        }
        parts.join(", ")
    }
}

/// As many threads as can run at once.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Linux says so among the flags of the processor.
fn virtual_machine() -> Option<bool> {
    let cpus = fs::read_to_string("/proc/cpuinfo").ok()?;
    let flags = cpus.lines().find(|line| line.starts_with("flags"))?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

/// `battery` where one is being emptied, `mains` where there is one or a plug, nothing where neither is known.
fn power(supplies: &Path) -> Option<String> {
    let mut found = None;
    for supply in fs::read_dir(supplies).ok()?.flatten() {
        let says = |name: &str| line(&supply.path().join(name)).unwrap_or_default();
        match says("type").as_str() {
            "Battery" if says("scope") == "Device" => {} // of a mouse
            "Battery" if says("status") == "Discharging" => return Some("battery".into()),
            "Battery" | "Mains" => found = Some("mains".into()),
            _ => {}
        }
    }
    found
}

fn line(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_processor_and_memory() {
        let here = Machine::here();
        assert!(here.logical_cores >= 1 && here.memory_bytes > 1 << 28, "{here:?}");
        assert!(here.in_a_line().contains(&here.instruction_set));
    }

    #[test]
    fn power_comes_from_what_supplies_it() {
        let root = tempfile::tempdir().unwrap();
        let supply = |name: &str, files: &[(&str, &str)]| {
            fs::create_dir_all(root.path().join(name)).unwrap();
            for (file, text) in files {
                fs::write(root.path().join(name).join(file), format!("{text}\n")).unwrap();
            }
        };
        assert_eq!(power(root.path()), None);
        supply(
            "mouse",
            &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")],
        );
        assert_eq!(power(root.path()), None);
        supply("AC", &[("type", "Mains")]);
        supply("BAT0", &[("type", "Battery"), ("status", "Charging")]);
        assert_eq!(power(root.path()).as_deref(), Some("mains"));
        supply("BAT0", &[("status", "Discharging")]);
        assert_eq!(power(root.path()).as_deref(), Some("battery"));
        assert_eq!(power(Path::new("/no/such")), None);
    }
}
