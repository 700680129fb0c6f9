//! Reports of results whose names and texts attack whoever shows them (`tools/golden/make_report.py`).

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

fn results() -> Results {
    read(include_str!("../../tests/report/results.json")).unwrap()
}

#[test]
fn json_comes_back_as_it_was() {
    let results = results();
    assert_eq!(read(&Form::Json.render(&results)).unwrap(), results);
    for (text, why) in [
        ("[]", "schema \"none\""),
        ("{\"schema\": \"x\"}", "schema \"x\""),
        ("{", "no JSON"),
    ] {
        assert!(format!("{:#}", read(text).unwrap_err()).contains(why), "{text}");
    }
}

#[test]
fn forms_have_endings() {
    let form = |path: &str| Form::of(Path::new(path));
    assert_eq!(form("a/b.JSON"), Ok(Form::Json));
    assert_eq!(
        (form("b.csv"), form("b.md"), form("b.html")),
        (Ok(Form::Csv), Ok(Form::Markdown), Ok(Form::Html))
    );
    assert!(form("json").unwrap_err().contains(".json, .csv, .md and .html"));
}

#[test]
fn the_table_has_a_winner_reasons_and_no_escape_sequences_but_its_own() {
    let plain = table(&results(), false);
    assert!(!plain.contains('\x1b'), "{plain}");
    for part in [
        "native bundled is 1.75 ± 0.02 ",
        "times as fast as faster-whisper base.",
        "…",
        "The fastest here: native bundled",
        "not ranked: MLX is made for Apple's GPUs",
        "not ranked: its word error rate is 4.5 points worse",
        "differs: the language is told to the server once",
        "failed: killed by the system",
        "native large-v3 (fallback: mlx-community/whisper…",
        "warning: the machine is busy",
    ] {
        assert!(plain.contains(part), "{part}: {plain}");
    }
    let coloured = table(&results(), true);
    assert!(coloured.contains("\x1b[1;32mnative bundled") && !coloured.contains("\x1b[31mred"));
}

#[test]
fn csv_has_a_line_for_each_row_and_runs_nothing() {
    let csv = Form::Csv.render(&results());
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines.len(), 1 + 7 + 1);
    let columns = lines[0].split(',').count();
    assert!(lines[1].starts_with("native,0.1.0,bundled,org/native,\"5 bits, groups of 64\",false,jfk.flac,11,12,"));
    assert!(columns == 32 && lines[6].contains("most likely out of memory"));
    let cells = csv.split([',', '\n']);
    assert!(cells.clone().count() > 200);
    for cell in cells {
        assert!(!cell.starts_with(['=', '@', '+']), "{cell}");
    }
}

#[test]
fn markdown_shows_names_as_they_are() {
    let markdown = Form::Markdown.render(&results());
    assert!(markdown.contains("| native bundled | 0.1.0, 5 bits, groups of 64 | "));
    assert!(!markdown.contains("<script") && !markdown.contains("<img") && !markdown.contains('\x1b'));
    let columns: Vec<usize> = markdown
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.replace("\\|", "").matches('|').count())
        .collect();
    assert!(
        columns.len() == 2 + 5 + 2 + 2 && columns.iter().all(|count| *count == 13),
        "{columns:?}"
    );
}

#[test]
fn the_page_holds_everything_and_asks_for_nothing() {
    let page = Form::Html.render(&results());
    for heading in [
        "Time",
        "Speed and word error rate",
        "Memory",
        "From cold to the first text",
        "Stages",
    ] {
        assert!(page.contains(&format!("<h3>{heading}</h3>")), "{heading}");
    }
    assert!(page.contains("default-src 'none'"));
    for forbidden in [
        "<script",
        "<img",
        "<iframe",
        "<link rel=\"stylesheet",
        "url(",
        "@import",
        "\x1b",
        "NaN",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // without results it is a page, too
    let empty = Results {
        entries: Vec::new(),
        recordings: Vec::new(),
        complete: false,
        ..results()
    };
    assert!(Form::Html.render(&empty).contains("Not finished"));
}

/// The page in a browser, narrow and wide, light and dark. `WHISPER_TEST_SCREENSHOTS` names a folder to keep the pictures.
#[test]
fn a_browser_shows_the_page_without_a_request() {
    let Some(browser) = browser() else {
        writeln!(
            std::io::stderr(),
            "skipped: a_browser_shows_the_page_without_a_request: no chromium here"
        )
        .unwrap();
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("WHISPER_TEST_SCREENSHOTS").map(PathBuf::from);
    let page = Form::Html.render(&results());
    for (name, width, height, scheme) in [
        ("phone-light", 390, 4200, 1),
        ("phone-dark", 390, 4200, 0),
        ("desk-light", 1440, 2400, 1),
        ("desk-dark", 1440, 2400, 0),
    ] {
        let picture = folder.path().join(format!("{name}.png"));
        let requests = show(&browser, folder.path(), &page, &picture, (width, height), scheme);
        assert!(fs::metadata(&picture).unwrap().len() > 20_000, "{name} is empty");
        assert!(!requests.contains("example.com"), "the page has asked for something");
        if let Some(kept) = &kept {
            fs::create_dir_all(kept).unwrap();
            fs::copy(&picture, kept.join(format!("{name}.png"))).unwrap();
        }
    }
    // nothing sticks out at the side, and it would be seen
    for width in [360, 390, 768, 1440] {
        let (screen, whole) = widths(&browser, folder.path(), &page, width);
        assert!(whole <= screen, "{whole} on a screen of {screen}");
    }
    let wide = page.replace("</main>", "<div style='width: 3000px'>x</div></main>");
    let (screen, whole) = widths(&browser, folder.path(), &wide, 1440);
    assert!(whole > screen);
    // and a request would have been seen
    let asks = "<!doctype html><img src='http://example.com/x.png'>";
    let requests = show(
        &browser,
        folder.path(),
        asks,
        &folder.path().join("x.png"),
        (390, 390),
        1,
    );
    assert!(requests.contains("example.com"));
}

/// Takes a picture of `html`, and gives the log of the browser's network.
fn show(browser: &Path, folder: &Path, html: &str, picture: &Path, (width, height): (u32, u32), scheme: u8) -> String {
    let log = folder.join("net.json");
    let options = [
        format!("--log-net-log={}", log.display()),
        format!("--window-size={width},{height}"),
        format!("--screenshot={}", picture.display()),
        format!("--blink-settings=preferredColorScheme={scheme}"),
    ];
    browse(browser, folder, html, &options);
    fs::read_to_string(&log).unwrap()
}

/// How wide the page is on a screen of `width`, all details open: the screen, and the whole page with what sticks out.
fn widths(browser: &Path, folder: &Path, html: &str, width: u32) -> (u32, u32) {
    // The page forbids scripts; this one is the test's.
    let (_, body) = html.split_once("<main>").unwrap();
    let head = format!(
        "<!doctype html><meta name=viewport content='width=device-width'><style>{}</style>",
        include_str!("html/style.css")
    );
    let script = "<script>document.querySelectorAll('details').forEach(d => d.open = true); \
                  document.title = innerWidth + ' ' + document.documentElement.scrollWidth</script>";
    let options = [format!("--window-size={width},2000"), "--dump-dom".into()];
    let dom = browse(browser, folder, &format!("{head}<main>{body}{script}"), &options);
    let title = dom
        .split("<title>")
        .nth(1)
        .and_then(|rest| rest.split("</title>").next());
    let (inner, whole) = title.unwrap().split_once(' ').unwrap();
    (inner.parse().unwrap(), whole.parse().unwrap())
}

fn browse(browser: &Path, folder: &Path, html: &str, options: &[String]) -> String {
    let page = folder.join("page.html");
    fs::write(&page, html).unwrap();
    let output = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .args(options)
        .arg(&page)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}
