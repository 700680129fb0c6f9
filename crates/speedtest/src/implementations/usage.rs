//! What a process group takes: processor time and memory, seen from outside.
//!
//! On Linux from `/proc`, where each process remembers the most memory it had. Elsewhere from a look every tenth of a
//! second at the child and what it started; the time of helpers that have ended is not seen there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a group has taken since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// In user and system mode.
    pub(crate) cpu_seconds: f64,
    /// The most memory that its processes had, as the sum of the peaks of those alive together.
    pub(crate) peak_bytes: u64,
}

/// Watches a group until it is dropped.
pub(crate) struct Watch {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

struct Seen {
    group: Mutex<system::Group>,
    peak_bytes: AtomicU64,
    over: AtomicBool,
}

impl Seen {
    fn look(&self) -> Usage {
        let now = self.group.lock().unwrap_or_else(PoisonError::into_inner).look();
        let before = self.peak_bytes.fetch_max(now.peak_bytes, Ordering::Relaxed);
        Usage {
            peak_bytes: before.max(now.peak_bytes),
            ..now
        }
    }
}

impl Watch {
    /// Of the group that process `leader` leads.
    pub(crate) fn new(leader: u32) -> Watch {
        let seen = Arc::new(Seen {
            group: Mutex::new(system::Group::new(leader)),
            peak_bytes: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let watched = Arc::clone(&seen);
        let thread = thread::spawn(move || {
            while !watched.over.load(Ordering::Relaxed) {
                thread::park_timeout(system::INTERVAL);
                watched.look();
            }
        });
        Watch {
            seen,
            thread: Some(thread),
        }
    }

    /// So far.
    pub(crate) fn usage(&self) -> Usage {
        self.seen.look()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.seen.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Duration, Usage};
    use std::fs;

    /// A process keeps its own peak, so that only the life of a short helper can be missed.
    pub(super) const INTERVAL: Duration = Duration::from_millis(500);

    /// `USER_HZ`, which Linux promises to programs.
    const TICKS_A_SECOND: f64 = 100.0;

    pub(super) struct Group {
        id: u32,
    }

    impl Group {
        pub(super) fn new(leader: u32) -> Group {
            Group { id: leader }
        }

        pub(super) fn look(&mut self) -> Usage {
            let mut usage = Usage::default();
            for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
                let path = process.path();
                let Ok(stat) = fs::read_to_string(path.join("stat")) else {
                    continue;
                };
                let Some((_, ticks)) = group_and_ticks(&stat).filter(|(group, _)| *group == self.id) else {
                    continue;
                };
                usage.cpu_seconds += f64::from(ticks) / TICKS_A_SECOND;
                let status = fs::read_to_string(path.join("status")).unwrap_or_default();
                usage.peak_bytes += peak_bytes(&status).unwrap_or(0);
            }
            usage
        }
    }

    /// The process group of `/proc/PID/stat`, and the ticks of the process and the children it has waited for.
    pub(super) fn group_and_ticks(stat: &str) -> Option<(u32, u32)> {
        let (_, after_name) = stat.rsplit_once(')')?; // a name may hold anything
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u32>().ok());
        Some((fields.get(2)?.parse().ok()?, ticks.sum::<Option<u32>>()?))
    }

    /// The most memory a process ever had resident, of `/proc/PID/status`.
    pub(super) fn peak_bytes(status: &str) -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kilobytes.checked_mul(1024)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Duration, Usage};
    use std::collections::BTreeMap;
    use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

    pub(super) const INTERVAL: Duration = Duration::from_millis(100);

    pub(super) struct Group {
        leader: Pid,
        /// `None` where the system does not say anything.
        system: Option<System>,
        /// The most milliseconds seen of each process, so that those which have ended still count.
        cpu: BTreeMap<Pid, u64>,
    }

    impl Group {
        pub(super) fn new(leader: u32) -> Group {
            Group {
                leader: Pid::from_u32(leader),
                system: System::new().ok(),
                cpu: BTreeMap::new(),
            }
        }

        pub(super) fn look(&mut self) -> Usage {
            let wanted = ProcessRefreshKind::nothing().with_cpu().with_memory();
            let Some(system) = &mut self.system else {
                return Usage::default();
            };
            system.refresh_processes_specifics(ProcessesToUpdate::All, true, wanted);
            let mut peak_bytes = 0;
            for (&pid, process) in system.processes() {
                if belongs(system, pid, self.leader) {
                    peak_bytes += process.memory();
                    let most = self.cpu.entry(pid).or_default();
                    *most = (*most).max(process.accumulated_cpu_time());
                }
            }
            let milliseconds = self.cpu.values().sum();
            Usage {
                cpu_seconds: Duration::from_millis(milliseconds).as_secs_f64(),
                peak_bytes,
            }
        }
    }

    /// Whether `leader` is among the ancestors of a process.
    fn belongs(system: &System, pid: Pid, leader: Pid) -> bool {
        let parent = |pid: &Pid| system.process(*pid).and_then(|process| process.parent());
        std::iter::successors(Some(pid), parent)
            .take(32)
            .any(|ancestor| ancestor == leader)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::system::{group_and_ticks, peak_bytes};
    use super::*;

    #[test]
    fn proc_is_understood() {
        let stat = "7 (a) b (c) S 1 42 42 0 -1 4194560 900 0 0 0 11 22 33 44 20 0 5 0 100 1 2";
        assert_eq!(group_and_ticks(stat), Some((42, 110)));
        assert_eq!(group_and_ticks("7 (a"), None);
        assert_eq!(
            peak_bytes("Name:\ta\nVmHWM:\t    1024 kB\nVmRSS:\t 1 kB\n"),
            Some(1 << 20)
        );
        assert_eq!(peak_bytes("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn nobody_takes_nothing() {
        assert_eq!(Watch::new(u32::MAX).usage(), Usage::default());
    }
}
