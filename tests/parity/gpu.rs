//! Graphics processors: a library that answers in the place of NVIDIA's, with numbers that are all different.

use std::path::Path;
use std::process::{Command, Output};

/// Compiles `tests/fixtures/nvml.c` under the name that drivers give their library.
fn library(options: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvml.c");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
        .arg(dir.path().join("libnvidia-ml.so.1"))
        .arg(source)
        .args(options)
        .output()
        .expect("the linker that builds this program compiles C, too");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dir
}

fn show(library: &Path, environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netglance"))
        .args(["show", "gpu", "--format", "json"])
        .env("LD_LIBRARY_PATH", library)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn rows(output: &Output) -> Vec<serde_json::Value> {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap().as_array().unwrap().clone()
}

/// What is said when there is nothing to show, and the table's state in it.
fn refusal(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("gpu"), "{said}");
    said
}

#[test]
fn every_value_of_the_library_arrives_in_its_column_and_unit() {
    let library = library(&[]);
    let rows = rows(&show(library.path(), &[]));
    assert_eq!(rows.len(), 2);
    for (column, want) in [
        ("index", serde_json::json!(0)),
        ("state", serde_json::json!("ok")),
        ("uuid", serde_json::json!("GPU-0001")),
        ("name", serde_json::json!("Fake \\x1b[2J A100")),
        ("used", serde_json::json!(0.71)),
        ("memory_busy", serde_json::json!(0.32)),
        ("encoder", serde_json::json!(0.13)),
        ("decoder", serde_json::json!(0.14)),
        ("memory_total", serde_json::json!(80_000_000_001_u64)),
        ("memory", serde_json::json!(20_000_000_003_u64)),
        ("temperature", serde_json::json!(61.0)),
        ("high", serde_json::json!(90.0)),
        ("critical", serde_json::json!(95.0)),
        ("power", serde_json::json!(251.5)),
        ("power_limit", serde_json::json!(400.0)),
        ("energy", serde_json::json!(123_456_789.012)),
        ("fan", serde_json::json!(0.45)),
        ("frequency", serde_json::json!(1.41e9)),
        ("processes", serde_json::json!(3)),
    ] {
        assert_eq!(rows[0][column], want, "{column}");
    }
}

#[test]
fn what_a_device_does_not_measure_is_missing() {
    let library = library(&[]);
    let rows = rows(&show(library.path(), &[]));
    let known = ["index", "state", "name"];
    for (column, value) in rows[1].as_object().unwrap() {
        assert_eq!(value.is_null(), !known.contains(&column.as_str()), "{column} is {value}");
    }
    assert_eq!((&rows[1]["name"], &rows[1]["state"]), (&serde_json::json!("Fake T4"), &serde_json::json!("ok")));
}

#[test]
fn a_device_that_does_not_answer_says_so_and_hides_no_other() {
    let library = library(&[]);
    for (code, state) in [("15", "lost"), ("4", "denied"), ("999", "failed")] {
        let rows = rows(&show(library.path(), &[("FAKE_NVML_SECOND", code)]));
        assert_eq!((rows.len(), &rows[0]["state"], &rows[1]["state"]), (2, &"ok".into(), &state.into()));
        assert_eq!((&rows[1]["index"], &rows[1]["used"]), (&1.into(), &serde_json::Value::Null));
    }
}

#[test]
fn the_library_s_refusals_become_states_with_reasons() {
    let library = library(&[]);
    for (code, state, reason) in [
        ("9", "absent", "driver"),
        ("12", "absent", "library"),
        ("4", "denied", "permission"),
        ("18", "failed", "version mismatch"),
        ("999", "failed", "internal driver error"),
    ] {
        let said = refusal(&show(library.path(), &[("FAKE_NVML_INIT", code)]));
        assert!(said.contains(state), "{said}");
        assert!(said.to_lowercase().contains(reason), "{said}");
    }
    let said = refusal(&show(library.path(), &[("FAKE_NVML_DEVICES", "0")]));
    assert!(said.contains("absent"), "{said}");
}

#[test]
fn a_library_without_a_function_is_absent_and_one_that_cannot_be_loaded_failed() {
    let lacking = library(&["-DWITHOUT_INIT"]);
    let said = refusal(&show(lacking.path(), &[]));
    assert!(said.contains("absent") && said.contains("nvmlInit_v2"), "{said}");
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("libnvidia-ml.so.1"), "no library").unwrap();
    let said = refusal(&show(other.path(), &[]));
    assert!(said.contains("failed") && said.contains("libnvidia-ml.so.1"), "{said}");
}
