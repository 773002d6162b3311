//! Does the built command keep the contract of the command line: exit codes, formats, hints, configuration?

#![cfg(test)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The command in an environment of its own: no configuration of the person who runs the tests.
fn netglance(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
    command.args(args).env_clear().env("XDG_CONFIG_HOME", "/nonexistent").env("HOME", "/nonexistent");
    command
}

fn run(args: &[&str]) -> Output {
    netglance(args).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Standard output of a run that must succeed.
fn ok(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

/// Standard error of a run that must fail and print nothing.
fn fails(args: &[&str], code: i32) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), "", "{args:?}");
    stderr(&output)
}

fn config(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netglance.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    (dir, path)
}

#[test]
fn show_load_as_json_agrees_with_the_kernel() {
    let text = ok(&["show", "load", "--format", "json"]);
    assert_eq!(text.lines().count(), 1);
    let rows: Value = serde_json::from_str(&text).unwrap();
    let row = rows[0].as_object().unwrap();
    let names = ok(&["schema", "--names"]);
    let columns: Vec<&str> = names.lines().filter_map(|line| line.strip_prefix("load.")).collect();
    assert_eq!(row.keys().collect::<Vec<_>>(), columns, "keys come in schema order");
    let kernel = std::fs::read_to_string("/proc/loadavg").unwrap();
    let fifteen: f64 = kernel.split(' ').nth(2).unwrap().parse().unwrap();
    assert!((row["fifteen"].as_f64().unwrap() - fifteen).abs() <= 0.5, "{row:?} {kernel}");
}

#[test]
fn a_series_prints_one_array_a_line() {
    for args in [
        &["show", "load", "--format", "json", "--every", "100ms", "--count", "3"][..],
        &["show", "load", "--format", "json", "--every", "100ms", "--count", "3", "--rate"],
        &["show", "load", "--format", "json", "--count", "3"],
    ] {
        let text = ok(args);
        let arrays: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(arrays.len(), 3);
        assert!(arrays.iter().all(|array| array.as_array().unwrap().len() == 1));
    }
}

#[test]
fn csv_has_one_header_for_a_whole_series() {
    let text = ok(&["show", "load", "--format", "csv", "--columns", "tasks, one", "--every", "100ms", "--count", "2"]);
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], "tasks,one");
}

#[test]
fn a_process_with_a_hostile_name_stays_one_csv_field() {
    // the kernel cuts a name at 15 bytes
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a,\"b\u{1b}c");
    std::os::unix::fs::symlink("/bin/sleep", &path).unwrap();
    let mut child = Command::new(&path).arg("60").spawn().unwrap();
    let filter = format!("pid == {}", child.id());
    let text = ok(&["show", "process", "--format", "csv", "--columns", "pid,name", "--where", &filter]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(text, format!("pid,name\r\n{},\"a,\"\"b\\x1bc\"\r\n", child.id()));
}

#[test]
fn rows_are_filtered_then_sorted_then_limited() {
    let filter = format!("pid == {} or pid == 1", std::process::id());
    let text = ok(&["show", "process", "--where", &filter, "--sort", "-pid", "--columns", "pid", "--format", "csv"]);
    assert_eq!(text, format!("pid\r\n{}\r\n1\r\n", std::process::id()));
    let text = ok(&["show", "process", "--where", &filter, "--sort", "pid", "--limit", "1", "--columns", "pid"]);
    assert_eq!(text, "PID\n  1\n");
    assert_eq!(ok(&["show", "process", "--where", "pid == 0", "--format", "json"]), "[]\n");
}

/// What a command prints on a terminal of so many columns.
fn on_a_terminal(columns: u16, args: &[&str]) -> String {
    let size = portable_pty::PtySize { rows: 24, cols: columns, pixel_width: 0, pixel_height: 0 };
    let pair = portable_pty::native_pty_system().openpty(size).unwrap();
    let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_netglance"));
    command.args(args);
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut text = Vec::new();
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut chunk = [0; 4096];
    // the end of a terminal is an error
    while let Ok(read @ 1..) = reader.read(&mut chunk) {
        text.extend_from_slice(&chunk[..read]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(text).unwrap()
}

#[test]
fn processes_fit_a_terminal_and_a_pipe_gets_the_whole_command() {
    let long = "x".repeat(300);
    let mut child = Command::new("/bin/sleep").arg0(&long).arg("600").spawn().unwrap();
    let filter = format!("pid == {}", child.id());
    let args = ["show", "process", "--where", &filter, "--sort", "-cpu", "--rate", "--every", "100ms", "--limit", "5"];
    let once: Vec<&str> = args.iter().copied().chain(["--count", "1"]).collect();
    let piped = ok(&once);
    let (narrow, wide) = (on_a_terminal(80, &once), on_a_terminal(200, &once));
    child.kill().unwrap();
    child.wait().unwrap();
    let heading: Vec<&str> = piped.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["PID", "USER", "STATE", "CPU_TIME", "RSS", "CPU", "MEMORY", "COMMAND"]);
    assert!(piped.contains(&long) && piped.contains(" 600"), "{piped}");
    for (text, columns) in [(narrow, 80), (wide, 200)] {
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), heading);
        assert_eq!(lines[1].chars().count(), columns, "{text}");
        assert!(lines[1].ends_with("xxx…"), "{text}");
    }
}

#[test]
fn an_order_by_what_a_single_sample_cannot_know_is_warned_of() {
    let output = run(&["show", "process", "--sort", "-cpu", "--limit", "1"]);
    assert_eq!((output.status.code(), stdout(&output).lines().count()), (Some(0), 2));
    assert!(stderr(&output).contains("`cpu`") && stderr(&output).contains("--rate"), "{}", stderr(&output));
    assert_eq!(stderr(&run(&["show", "process", "--sort", "-rss", "--filter", "pid == 1"])), "");
}

#[test]
fn root_an_empty_log_says_from_when_on_it_hears() {
    for table in ["ruleset_change", "route_change"] {
        let output = run(&["show", table]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("only what comes from now on is heard"), "{}", stderr(&output));
    }
    assert_eq!(stderr(&run(&["show", "load"])), "");
}

#[test]
fn root_what_a_plain_user_may_not_read_is_a_warning_beside_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("netglance");
    // by another process: what a child of another thread still holds open for writing cannot be run
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_netglance")).arg(&program).status().unwrap().success());
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = |args: &[&str]| {
        let drop = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"];
        let mut command = Command::new("setpriv");
        command.args(drop).arg(&program).args(args).current_dir("/").stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
        command.output().unwrap()
    };
    // number 1 is root's wherever this runs
    let io = nobody(&["show", "process", "--where", "pid == 1", "--columns", "pid,read_bytes", "--format", "json"]);
    assert_eq!((io.status.code(), stdout(&io).as_str()), (Some(0), "[{\"pid\":1,\"read_bytes\":null}]\n"));
    assert!(stderr(&io).contains("partly denied: read /proc/1/io") && stderr(&io).contains("CAP_SYS_PTRACE"));
    let plain = nobody(&["show", "process", "--where", "pid == 1"]);
    assert_eq!((plain.status.code(), stderr(&plain).as_str()), (Some(0), ""), "nothing denied was asked for");
    let whole = nobody(&["show", "process_environment", "--where", "pid == 1", "--format", "json"]);
    assert_eq!((whole.status.code(), stdout(&whole).as_str()), (Some(1), ""));
    assert!(stderr(&whole).contains("denied") && stderr(&whole).contains("hint: "), "{}", stderr(&whole));
    let doctor = nobody(&["doctor"]);
    let text = stdout(&doctor);
    let mut lines = text.lines().skip_while(|line| !line.starts_with("process "));
    assert!(lines.next().unwrap().contains("partly denied"), "{text}");
    assert!(lines.next().unwrap().contains("  fix: ") && text.contains("CAP_SYS_PTRACE"), "{text}");
    assert_eq!(doctor.status.code(), Some(0), "{text}{}", stderr(&doctor));
}

#[test]
fn a_full_disk_is_an_error_of_every_command() {
    for args in [&["show", "load"][..], &["schema"], &["man"], &["check", "--defaults"], &["--help"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = netglance(args).stdin(Stdio::null()).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr(&output).contains("No space left"), "{args:?} {}", stderr(&output));
    }
}

#[test]
fn mistakes_exit_2_with_a_hint_and_print_nothing() {
    for (args, message) in [
        (&["show", "lod"][..], "did you mean `load`?"),
        (&["show", "load", "--sort", "-fiften"], "did you mean `fifteen`?"),
        (&["show", "load", "--columns", "one,fiv"], "did you mean `five`?"),
        (&["show", "load", "--columns", "one,five,one"], "column `one` is named twice"),
        (&["show", "load", "--where", "one > and"], "column 7"),
        (&["show", "load", "--where", "one = 1"], "=="),
        (&["show", "load", "--every", "soon"], "soon"),
        (&["show", "load", "--count", "0"], "must be a whole number, 1 or more"),
        (&["show", "load", "--count", "-1"], "must be a whole number, 1 or more"),
        (&["show", "load", "--count", "99999999999999999999"], "is more than can be counted"),
        (&["show", "load", "--limit", "-1"], "must be a whole number, 0 or more"),
        (&["show", "load", "--every", "-1s"], "must be a positive span"),
        (&["show", "load", "--columns", ","], "a name that is empty"),
        (&["show", "load", "--netns", "blue"], "network namespaces"),
        (&["show", "process", "--format", "prometheus"], "time series"),
        (&["show", "load", "--format", "prometheus", "--rate"], "totals"),
        (&["show", "process_file"], "--where 'pid == ...'"),
        (&["show", "process_file", "--where", "pid > 1"], "--where 'pid == ...'"),
        (&["show"], "TABLE"),
        (&["doctor", "--format", "prometheus"], "possible values: text, json, csv"),
        (&["frobnicate"], "frobnicate"),
        (&["--config", "/dev/null", "check", "/dev/null"], "two files to check"),
        (&["check", "--defaults", "/dev/null"], "cannot be used with"),
        (&["--view", "x", "schema"], "dashboard"),
        (&["--netns", "a/b"], "no name of a network namespace"),
        (&["--netns", "all", "show", "load"], "behind it"),
        (&["connect", "localhost", "--netns", "all"], "configuration of the agent"),
        (&["browse", "localhost", "--netns", "all"], "configuration of the agent"),
        (&["--config", "/nonexistent.toml", "show", "load"], "/nonexistent.toml"),
    ] {
        let text = fails(args, 2);
        assert!(text.contains(message), "{args:?}\n{text}");
    }
}

#[test]
fn the_dashboard_without_a_terminal_points_to_show() {
    assert!(fails(&[], 2).contains("netglance show"));
}

#[test]
fn an_absent_source_exits_1_with_its_hint_and_prints_nothing() {
    let (_dir, path) = config("[collect.load]\nenabled = false");
    let text = fails(&["--config", path.to_str().unwrap(), "show", "load", "--format", "json"], 1);
    assert!(text.contains("switched off") && text.contains("hint:"), "{text}");
}

#[test]
fn a_process_that_is_not_there_is_no_empty_table() {
    let me = std::process::id();
    for table in ["process_file", "process_thread", "process_limit", "process_environment"] {
        for (pid, gone) in [("pid == 99999999", "99999999"), ("pid == -1", "-1")] {
            let text = fails(&["show", table, "--where", pid], 1);
            assert_eq!(text, format!("netglance: {table}: absent: no process {gone}\n"));
        }
        let output = run(&["show", table, "--where", &format!("pid in ({me}, 99999999)"), "--format", "csv"]);
        let (rows, told) = (stdout(&output), stderr(&output));
        assert!(output.status.success() && rows.lines().count() > 1, "{told}");
        assert!(told.contains("partly absent: no process 99999999"), "{told}");
    }
    let many: Vec<String> = (1..=65).map(|pid| pid.to_string()).collect();
    let text = fails(&["show", "process_file", "--where", &format!("pid in ({})", many.join(", "))], 2);
    assert!(text.contains("more than 64"), "{text}");
}

#[test]
fn a_closed_pipe_ends_a_series_in_silence() {
    let mut child = netglance(&["show", "load", "--every", "100ms", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("[{"));
    drop(reader);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
}

#[test]
fn the_schema_is_the_same_in_both_forms() {
    let schema: Value = serde_json::from_str(&ok(&["schema", "--json"])).unwrap();
    let mut names = Vec::new();
    for table in schema["tables"].as_array().unwrap() {
        assert!(["single", "rows", "log"].contains(&table["shape"].as_str().unwrap()));
        for column in table["columns"].as_array().unwrap() {
            let keys: Vec<&String> = column.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["name", "kind", "unit", "type", "help", "labels", "expr"]);
            names.push(format!("{}.{}", table["name"].as_str().unwrap(), column["name"].as_str().unwrap()));
        }
    }
    assert_eq!(ok(&["schema", "--names"]).lines().collect::<Vec<_>>(), names);
}

#[test]
fn doctor_says_how_every_collector_fares() {
    let output = run(&["doctor", "--format", "json"]);
    let rows: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let rows = rows.as_array().unwrap();
    let known = ok(&["schema", "--collectors"]);
    assert_eq!(rows.len(), known.lines().count() - 1);
    assert!(rows.iter().all(|row| row["runs"] == 2 || row["state"] == "stale"), "{rows:?}");
    let text = stdout(&run(&["doctor"]));
    let line = text.lines().find(|line| line.starts_with("process_detail ")).unwrap();
    assert!(line.contains("read only for what somebody asks for"), "{text}");
    let failed = rows.iter().any(|row| row["state"] == "failed");
    assert_eq!(output.status.code(), Some(i32::from(failed)), "only a failure is one: {rows:?}");
}

#[test]
fn root_a_source_that_fails_is_exit_1_and_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("loadavg");
    std::fs::write(&bad, "no numbers\n").unwrap();
    // the mount is seen in a namespace that ends with the command
    let with_bad_source = |args: &str| {
        let program = env!("CARGO_BIN_EXE_netglance");
        let script = format!("mount --bind {} /proc/loadavg && exec {program} {args}", bad.display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
        command.output().unwrap()
    };
    let shown = with_bad_source("show load --format json");
    assert_eq!((shown.status.code(), stdout(&shown).as_str()), (Some(1), ""));
    assert!(stderr(&shown).contains("load: failed: parse /proc/loadavg"), "{}", stderr(&shown));
    let doctor = with_bad_source("doctor --format json");
    assert_eq!(doctor.status.code(), Some(1));
    assert!(stderr(&doctor).contains("failed: load"), "{}", stderr(&doctor));
    let rows: Value = serde_json::from_str(&stdout(&doctor)).unwrap();
    let failed: Vec<&Value> = rows.as_array().unwrap().iter().filter(|row| row["state"] == "failed").collect();
    assert_eq!(failed.iter().map(|row| &row["name"]).collect::<Vec<_>>(), ["load"]);
}

#[test]
fn a_collector_that_is_switched_off_is_named_and_not_run() {
    let (_dir, path) = config("[collect.load]\nenabled = false");
    let name = path.to_str().unwrap();
    for args in [
        &["--config", name, "doctor", "--format", "json"][..],
        &["--config", name, "show", "collector", "--format", "json"],
    ] {
        let rows: Value = serde_json::from_str(&stdout(&run(args))).unwrap();
        let row = rows.as_array().unwrap().iter().find(|row| row["name"] == "load").unwrap();
        assert_eq!((&row["state"], &row["runs"]), (&Value::from("absent"), &Value::from(0)), "{args:?}");
        assert!(row["reason"].as_str().unwrap().contains("switched off"), "{row}");
    }
    assert!(stdout(&run(&["--config", name, "doctor"])).contains("[collect.load]"));
}

#[test]
fn completions_know_the_tables_and_columns() {
    for shell in ["bash", "zsh", "fish"] {
        let script = ok(&["completions", shell]);
        for name in ["process_file", "fifteen", "netglance"] {
            assert!(script.contains(name), "{shell} {name}");
        }
    }
}

#[test]
fn bash_completes_tables_their_columns_and_views() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("netglance.bash");
    std::fs::write(&script, ok(&["completions", "bash"])).unwrap();
    // what bash does on Tab: the words of the line, the last one being completed
    let complete = |line: &str| {
        let code = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_LINE=\"$*\"; \
                    function=$(complete -p netglance | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
                    $function netglance \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                    printf '%s ' \"${COMPREPLY[@]}\"";
        let mut command = Command::new("bash");
        command.args(["--norc", "-c", code, "bash"]).arg(&script).args(line.split(' '));
        stdout(&command.stdin(Stdio::null()).output().unwrap()).trim_end().to_owned()
    };
    for (line, want) in [
        ("netglance sho", "show"),
        ("netglance show process_t", "process_thread"),
        ("netglance schema loa", "load"),
        ("netglance show load --columns fif", "fifteen"),
        ("netglance show load --columns one,fi", "one,five one,fifteen"),
        ("netglance show load --sort fif", "fifteen"),
        ("netglance show load --sort -fif", "-fifteen"),
        ("netglance show --rate load --columns fif", "fifteen"),
        ("netglance show load --columns pid", ""),
        ("netglance --view processe", "processes"),
        ("netglance --view expl", "explore"),
        ("netglance --theme nor", "nord"),
        ("netglance show load --format js", "json"),
    ] {
        assert_eq!(complete(line), want, "{line}");
    }
}

#[test]
fn reset_leaves_every_mode_of_the_dashboard() {
    let text = ok(&["reset"]);
    for sequence in ["\x1b[?1049l", "\x1b[?25h", "\x1b[?1000l", "\x1b[?2004l", "\x1b[0m"] {
        assert!(text.contains(sequence), "{sequence:?}");
    }
}

#[test]
fn the_manual_describes_every_command() {
    let page = ok(&["man"]);
    for word in ["show", "schema", "doctor", "check", "completions", "man", "reset"] {
        assert!(page.contains(&format!(".SS \"netglance {word}")), "{word}");
    }
    for section in ["NAME", "SYNOPSIS", "\"EXIT STATUS\"", "FILES", "ENVIRONMENT", "EXAMPLES"] {
        assert!(page.lines().any(|line| line == format!(".SH {section}")), "{section}\n{page}");
    }
    assert!(!page.lines().any(|line| line.ends_with(' ')), "what `man` warns of");
}

#[test]
fn the_defaults_and_the_schema_of_the_configuration_are_printed() {
    let (_dir, path) = config(&ok(&["check", "--defaults"]));
    assert!(ok(&["check", path.to_str().unwrap()]).ends_with(": ok\n"));
    let schema: Value = serde_json::from_str(&ok(&["check", "--schema"])).unwrap();
    assert!(schema["properties"]["collect"].is_object());
    assert_eq!(ok(&["check", "--defaults"]), std::fs::read_to_string("config/netglance.toml").unwrap());
}

#[test]
fn a_wrong_configuration_exits_2_with_file_line_and_column() {
    for (text, place, message) in [
        ("\n[colect.load]", ":2:2:", "did you mean `collect`?"),
        ("[collect.load]\nintervall = '1s'", ":2:1:", "did you mean `interval`?"),
        ("[collect.lod]\nenabled = true", ":1:10:", "did you mean `load`?"),
        ("[collect.load]\nenabled = 'yes'", ":2:11:", "invalid type"),
        ("[collect.load]\ninterval = '5GiB'", ":2:12:", "duration"),
        ("theme = 'nrod'", ":1:9:", "did you mean `nord`?"),
        ("[[threshold]]\ntable = 'load'\ncolumn = 'onee'\ncareful = 1", ":3:10:", "did you mean `one`?"),
        ("[collect.load]\nbudget = 1\nbudget = 2", ":3:1:", "duplicate"),
    ] {
        let (_dir, path) = config(text);
        let name = path.to_str().unwrap();
        for args in [&["check", name][..], &["--config", name, "show", "load"]] {
            let found = fails(args, 2);
            assert!(found.contains(&format!("{name}{place}")) && found.contains(message), "{text}\n{found}");
        }
    }
}

#[test]
fn what_is_no_configuration_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, bytes: &[u8]| std::fs::write(path(name), bytes).unwrap();
    write("large", &b"# x\n".repeat(1 << 18));
    write("latin", b"mouse = true\ntheme = \"b\xe4r\"\n");
    write("nul", b"theme = \"a\0b\"\n");
    std::fs::create_dir(path("dir")).unwrap();
    std::os::unix::fs::symlink(path("loop"), path("loop")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path("zero")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), rustix::fs::Mode::RUSR).unwrap();
    for (name, message) in [
        ("large", "larger than"),
        ("latin", ":2:11: is not UTF-8"),
        ("nul", ":1:11: "),
        ("dir", "is a directory, not a regular file"),
        ("loop", "Too many levels"),
        ("zero", "is a device, not a regular file"),
        ("fifo", "is a pipe, not a regular file"),
        ("missing", "No such file"),
    ] {
        let text = fails(&["check", &path(name)], 2);
        assert!(text.starts_with(&format!("netglance: {}", path(name))) && text.contains(message), "{text}");
    }
    ok(&["check", "/dev/null"]);
    ok(&["--config", "/dev/null", "show", "load"]);
    write("bom", b"\xef\xbb\xbftheme = \"nord\"\r\n[collect.load]\r\nenabled = true\r\n");
    ok(&["check", &path("bom")]);
    write("crlf", b"theme = \"nord\"\r\n[collect.load]\r\nenable = true\r\n");
    assert!(fails(&["check", &path("crlf")], 2).contains(":3:1: "));
}

#[test]
fn check_without_a_file_says_where_one_was_looked_for_and_reads_the_environment() {
    let text = ok(&["check"]);
    assert!(text.contains("/nonexistent/netglance/netglance.toml") && text.contains("the defaults are used"), "{text}");
    let wrong = netglance(&["check"]).env("NETGLANCE__THEME", "nrod").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("NETGLANCE__THEME: there is no theme `nrod`; did you mean `nord`?"));
}

#[test]
fn what_is_wrong_with_a_theme_is_told_at_its_place_and_not_where_it_was_chosen() {
    let home = tempfile::tempdir().unwrap();
    let themes = home.path().join("netglance/themes");
    std::fs::create_dir_all(&themes).unwrap();
    let theme = themes.join("mine.toml");
    std::fs::write(&theme, "title = 'Mine'\n[colors]\ntext = 'nocolor'\n").unwrap();
    let (_dir, path) = config("mouse = true\ntheme = 'mine'");
    let chosen = |command: &mut Command| command.env("XDG_CONFIG_HOME", home.path()).output().unwrap();
    let by_file = chosen(&mut netglance(&["check", path.to_str().unwrap()]));
    let by_variable = chosen(netglance(&["check", "--config", "/dev/null"]).env("NETGLANCE__THEME", "mine"));
    for (output, by) in [(by_file, format!("{}:2:9", path.display())), (by_variable, "NETGLANCE__THEME".to_owned())] {
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.starts_with(&format!("netglance: {}:3:", theme.display())), "{told}");
        assert!(told.trim_end().ends_with(&format!("(named by {by})")), "{told}");
    }
}

#[test]
fn a_configuration_that_others_can_change_is_refused() {
    let (_dir, path) = config("");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let text = fails(&["check", path.to_str().unwrap()], 2);
    assert!(text.contains("0666") && text.contains("chmod go-w"), "{text}");
}

#[test]
fn the_environment_wins_over_the_file_and_a_wrong_variable_is_an_error() {
    let (_dir, path) = config("[collect.load]\nenabled = false");
    let name = path.to_str().unwrap();
    let shown = |variable: &str, value: &str| {
        netglance(&["--config", name, "show", "load"]).env(variable, value).output().unwrap()
    };
    assert_eq!(shown("NETGLANCE__COLLECT__LOAD__ENABLED", "true").status.code(), Some(0));
    let wrong = shown("NETGLANCE__COLLECT__LOAD__ENABLE", "true");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("NETGLANCE__COLLECT__LOAD__ENABLE: "), "{}", stderr(&wrong));
}

#[test]
fn tokens_lie_beside_a_configuration_that_is_named_without_its_directory() {
    let (dir, _) = config("");
    let here = |args: &[&str]| {
        let output = netglance(&["--config", "netglance.toml"]).args(args).current_dir(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(here(&["token", "add", "one", "--role", "view"]).lines().count(), 1);
    assert!(here(&["token", "list"]).starts_with("one "));
    assert!(dir.path().join("tokens").exists());
}
