//! A runner that misbehaves as its file name says: tests copy it to `crash`, `hang`, ...; `well` is a good one.
#![expect(clippy::print_stdout, reason = "replies go to standard output")]

use std::error::Error;
use std::io::{self, Write};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let behaviour = program.file_stem().and_then(|stem| stem.to_str()).unwrap_or("well");
    for line in io::stdin().lines() {
        let began = Instant::now();
        let request: Value = serde_json::from_str(&line?)?;
        let kind = request["request"].as_str().unwrap_or_default();
        if kind == "bye" {
            return Ok(());
        }
        match (behaviour, kind) {
            ("absent", _) => return Ok(()),
            ("crash", "transcribe") => {
                eprintln!("a bug in line 42");
                process::abort();
            }
            ("exit", "load") => {
                eprintln!("no such library");
                process::exit(3);
            }
            ("hang", "transcribe") => {
                // with a helper that would live on if only the leader were killed
                process::Command::new(&program)
                    .arg("helper")
                    .stdin(process::Stdio::null())
                    .spawn()?;
                forever();
            }
            ("memory", "transcribe") => kill_myself(),
            ("slow", "transcribe") => thread::sleep(Duration::from_millis(300)),
            ("garbage", "transcribe") => println!("Loading model ... 100 %"),
            ("cut", "transcribe") => {
                print!("{{\"reply\":\"transcribe\",\"audio\":0,");
                io::stdout().flush()?;
                return Ok(());
            }
            ("long", "transcribe") => println!("{{\"reply\":\"transcribe\",\"text\":\"{}\"}}", "x".repeat(10 << 20)),
            ("chatty", "transcribe") => println!("{{\"reply\":\"audio\",\"audio\":0}}"),
            ("refuse", "transcribe") => {
                println!(
                    "{}",
                    json!({"reply": "error", "message": "cannot <b>hear</b> this\u{1b}[31m"})
                );
                continue;
            }
            _ => {}
        }
        println!("{}", reply(behaviour, kind, &request, began.elapsed()));
    }
    if std::env::args().nth(1).as_deref() == Some("helper") {
        forever();
    }
    Ok(())
}

fn reply(behaviour: &str, kind: &str, request: &Value, elapsed: Duration) -> Value {
    let seconds = if behaviour == "liar" {
        1e6
    } else {
        elapsed.as_secs_f64()
    };
    match kind {
        "hello" => {
            let protocol = if behaviour == "future" { 2 } else { 1 };
            let version = if behaviour == "nameless" { "" } else { "1.0" };
            json!({"reply": kind, "protocol": protocol, "implementation": behaviour, "version": version})
        }
        "audio" => json!({"reply": kind, "audio": request["audio"]}),
        "load" => json!({"reply": kind, "seconds": 0}),
        _ => json!({
            "reply": kind, "audio": request["audio"], "seconds": seconds,
            "text": "And so, my fellow Americans: ask not what your country can do for you; ask what you can do for your country.",
        }),
    }
}

fn forever() -> ! {
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}

/// As the system does where memory runs out.
fn kill_myself() {
    #[cfg(unix)]
    if let Ok(mut kill) = process::Command::new("kill")
        .args(["-9", &process::id().to_string()])
        .spawn()
    {
        let _ = kill.wait();
        forever();
    }
}
