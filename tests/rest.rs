//! Does an agent answer `curl` and Prometheus?
//!
//! A real `netglance serve` on a port of its own, read by clients that others have written.

#![cfg(test)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use served::PATIENCE;
use support::process::Guard;

struct Agent(served::Agent);

impl Agent {
    /// An agent that has samples.
    fn start() -> Self {
        Self::with("")
    }

    /// The same; `more` follows in its section `[serve]`.
    fn with(more: &str) -> Self {
        let agent = Self(served::Agent::start("127.0.0.1:0", more));
        until("samples", || agent.get("/api/v1/tables/load").status == 200);
        until("processes", || agent.get("/api/v1/tables/process?limit=1").status == 200);
        agent
    }

    fn curl(&self, path: &str, arguments: &[&str]) -> Answer {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code} %{content_type}"])
            .args(arguments)
            .arg(format!("http://{}{path}", self.0.address))
            .output()
            .expect("curl is installed");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, told) = text.rsplit_once('\n').unwrap();
        let (status, media) = told.split_once(' ').unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        Answer { status: status.parse().unwrap(), media: media.to_owned(), body: body.to_owned() }
    }

    /// Asks as the user that the agent belongs to.
    fn inside(&self, path: &str) -> Answer {
        self.curl(path, &["--unix-socket", self.0.socket().to_str().unwrap()])
    }

    fn get(&self, path: &str) -> Answer {
        self.curl(path, &[])
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!((answer.status, answer.media.as_str()), (200, "application/json"), "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    media: String,
    body: String,
}

/// Waits for a condition that another process brings about.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// What a command of this program prints.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_netglance")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tables_are_answered_as_show_prints_them() {
    let agent = Agent::start();
    assert_eq!(agent.get("/api/v1/schema").body, printed(&["schema", "--json"]));
    let own = std::process::id();
    let filter = format!("where=pid%20%3D%3D%20{own}&columns=pid,name,start");
    let shown = printed(&[
        "show",
        "process",
        "--where",
        &format!("pid == {own}"),
        "--columns",
        "pid,name,start",
        "--format",
        "json",
    ]);
    until("this process", || agent.get(&format!("/api/v1/tables/process?{filter}")).body == shown);
    let csv = agent.curl(&format!("/api/v1/tables/process?{filter}"), &["--header", "Accept: text/csv"]);
    assert_eq!(csv.media, "text/csv");
    assert!(csv.body.starts_with("pid,name,start\r\n"), "{}", csv.body);
    // all columns, in the order of the schema
    let keys = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let shown: Value = serde_json::from_str(&printed(&["show", "load", "--format", "json"])).unwrap();
    assert_eq!(keys(&agent.json("/api/v1/tables/load")[0]), keys(&shown[0]));
    // the largest first, no more than asked for
    let rows = agent.json("/api/v1/tables/process?sort=-pid&limit=3&columns=pid");
    let pids: Vec<u64> = rows.as_array().unwrap().iter().map(|row| row["pid"].as_u64().unwrap()).collect();
    assert!(pids.len() == 3 && pids.is_sorted_by(|a, b| a > b), "{pids:?}");
    let head = agent.curl("/api/v1/tables/process?limit=3", &["--include"]);
    assert!(head.body.contains("netglance-more: true"), "{}", head.body);
    // every table says how it fares
    let tables = agent.json("/api/v1/tables");
    let schema = agent.json("/api/v1/schema");
    assert_eq!(tables.as_array().unwrap().len(), schema["tables"].as_array().unwrap().len());
    let load = tables.as_array().unwrap().iter().find(|table| table["name"] == "load").unwrap();
    assert_eq!((&load["state"], &load["rows"]), (&Value::from("ok"), &Value::from(1)));
}

#[test]
fn counters_are_totals_or_rates() {
    let agent = Agent::start();
    let path = "/api/v1/tables/process?columns=cpu_time&limit=1&where=pid==1";
    let total = |path: &str| agent.json(path)[0]["cpu_time"].as_f64();
    assert!(total(path).is_some());
    until("a rate", || total(&format!("{path}&rate=true")).is_some_and(|rate| (0.0..1000.0).contains(&rate)));
}

#[test]
fn what_nobody_else_wants_is_collected_for_the_request() {
    let agent = Agent::start();
    let own = std::process::id();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = format!("/api/v1/tables/process_file?where=pid=={own}");
    let open = agent.inside(&path).body;
    assert!(open.contains(file.path().to_str().unwrap()), "{open}");
    // whoever comes over the network without a name sees the files, but not which
    let hidden = agent.json(&path);
    assert!(hidden.as_array().unwrap().len() > 2, "{hidden}");
    assert!(!hidden.to_string().contains(file.path().to_str().unwrap()), "{hidden}");
    assert_eq!(agent.get("/api/v1/tables/process_file").status, 400);
    // and is not kept
    let tables = || agent.json("/api/v1/tables");
    let unknown = |table: &Value| table["name"] == "process_file" && table["rows"].is_null();
    until("nobody to want it", || tables().as_array().unwrap().iter().any(unknown));
}

#[test]
fn the_past_is_told_with_the_time_of_day() {
    let agent = Agent::start();
    let points = |path: &str| agent.json(path)[0]["points"].as_array().unwrap().clone();
    until("a past", || points("/api/v1/history/load/one").len() >= 2);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    for point in points("/api/v1/history/load/one") {
        let (from, time) = (point["from"].as_f64().unwrap(), point["time"].as_f64().unwrap());
        assert!(from < time && time <= now + 60.0 && time > now - 120.0, "{point} {now}");
        assert!(point["least"].as_f64() <= point["most"].as_f64(), "{point}");
    }
    let steps = points("/api/v1/history/load/one?since=10s&step=5s");
    assert_eq!(steps.len(), 2, "{steps:?}");
    // by row
    let cpu = agent.json("/api/v1/history/cpu/user?where=cpu==%22all%22");
    assert_eq!(cpu[0]["row"]["cpu"], "all", "{cpu}");
    assert_eq!(agent.get("/api/v1/history/process/cpu").status, 400, "more rows than an answer has");
}

#[test]
fn show_and_doctor_ask_an_agent() {
    let agent = Agent::start();
    let socket = format!("unix:{}", agent.0.socket().display());
    let own = std::process::id();
    let show = ["show", "process", "--where", &format!("pid == {own}"), "--columns", "pid,name,command", "--format"];
    for format in ["json", "csv", "text"] {
        let here = [&show[..], &[format]].concat();
        assert_eq!(printed(&[&here[..], &["--host", &socket]].concat()), printed(&here), "{format}");
    }
    let files = printed(&["show", "process_file", "--where", &format!("pid == {own}"), "--host", &socket]);
    assert!(files.lines().count() > 3, "{files}");
    let rates = printed(&["show", "cpu", "--rate", "--count", "2", "--format", "json", "--host", &agent.0.address]);
    let idle = |line: &str| serde_json::from_str::<Value>(line).unwrap()[0]["idle"].as_f64();
    assert!(rates.lines().count() == 2 && rates.lines().all(|line| idle(line).is_some()), "{rates}");
    let findings: Value = serde_json::from_str(&printed(&["doctor", "--format", "json", "--host", &socket])).unwrap();
    assert!(findings.as_array().unwrap().iter().any(|row| row["name"] == "load" && row["state"] == "ok"), "{findings}");
    for command in [&["show", "load"][..], &["doctor"]] {
        let nobody = [command, &["--host", "unix:/nonexistent"]].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_netglance")).args(nobody).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{told}");
        assert!(told.contains("/nonexistent"), "{told}");
    }
}

/// What an alert is known by, and how it fares.
fn standing(alert: &Value) -> [&Value; 5] {
    ["rule", "instance", "severity", "state", "since"].map(|column| &alert[column])
}

/// An agent with two rules of numbers that do not change, which hold, and one of processes of a name.
fn alerted(name: &str) -> Agent {
    let rules = format!(
        "defaults = false\n\
         [[alert]]\nname = 'any-load'\ntable = 'load'\nvalue = 'one'\ncareful = 0\n\
         [[alert]]\nname = 'any-memory'\ntable = 'memory'\nvalue = 'total'\ncritical = 1\n\
         [[alert]]\nname = 'marked'\ntable = 'process'\nwhere = 'name == \"{name}\"'\nmax = 0\nkeep_firing_for = '1s'\n\
         text = '{{count}} of them'\n"
    );
    let agent = Agent(served::Agent::prepared("127.0.0.1:0", "", |dir| {
        std::fs::write(dir.path().join("alerts.toml"), rules).unwrap();
    }));
    until("alerts", || {
        let alerts = serde_json::from_str::<Value>(&agent.get("/api/v1/alerts").body);
        alerts.is_ok_and(|alerts| alerts.as_array().is_some_and(|alerts| alerts.len() == 2))
    });
    agent
}

/// The events of an agent as they come, with their names.
fn events(agent: &Agent) -> (Guard, impl Iterator<Item = (String, Value)>) {
    let url = format!("http://{}/api/v1/events", agent.0.address);
    let arguments = ["--silent", "--no-buffer", "--max-time", "60", &url];
    let mut curl = Guard(Command::new("curl").args(arguments).stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(curl.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut kind = String::new();
    let events = lines.filter_map(move |line| {
        if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut kind);
        }
        let data = serde_json::from_str::<Value>(line.strip_prefix("data: ")?).unwrap();
        Some((kind.clone(), data))
    });
    (curl, events)
}

#[test]
fn alerts_and_events_agree() {
    let agent = alerted("nobody");
    let alerts = agent.json("/api/v1/alerts");
    let alerts = alerts.as_array().unwrap();
    // the worst first, each a row of the table
    let rules: Vec<&Value> = alerts.iter().map(|alert| &alert["rule"]).collect();
    assert_eq!(rules, ["any-memory", "any-load"]);
    let rows = agent.json("/api/v1/tables/alert?sort=rule");
    for (alert, row) in alerts.iter().rev().zip(rows.as_array().unwrap()) {
        assert_eq!(standing(alert), standing(row));
        let keys = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(alert), keys(row));
        assert_eq!((&alert["instance"], &alert["state"]), (&Value::from(""), &Value::from("firing")));
        assert!(alert["number"].as_f64().unwrap() >= 0.0 && alert["value"].is_string(), "{alert}");
    }
    let (_curl, events) = events(&agent);
    let first: Vec<(String, Value)> = events.take_while(|(kind, _)| kind != "begin").collect();
    for (kind, data) in first.iter().filter(|(kind, _)| kind != "alert") {
        assert!(kind == "state" && data["state"] != "ok" && data["table"].is_string(), "{kind} {data}");
    }
    let mut told: Vec<&Value> = first.iter().filter(|(kind, _)| kind == "alert").map(|(_, data)| data).collect();
    told.sort_by_key(|alert| alert["severity"] != "critical");
    assert!(told.into_iter().map(standing).eq(alerts.iter().map(standing)), "{first:?}");
}

#[test]
fn what_happens_to_an_alert_is_told_as_it_happens() {
    let name = format!("ng{}", std::process::id());
    let agent = alerted(&name);
    let (_curl, mut events) = events(&agent);
    assert!(events.any(|(kind, _)| kind == "begin"));
    // nothing happens but what this test does
    let mut next = || events.find(|(_, data)| data["rule"] == "marked").unwrap();
    let program = agent.0.dir.path().join(&name);
    std::fs::copy("/bin/sleep", &program).unwrap();
    let process = Guard(Command::new(program).arg("600").spawn().unwrap());
    let (kind, alert) = next();
    assert_eq!((kind.as_str(), &alert["state"], &alert["text"]), ("alert", &"firing".into(), &"1 of them".into()));
    let (kind, change) = next();
    assert_eq!((kind.as_str(), &change["what"], &change["text"]), ("change", &"fired".into(), &"1 of them".into()));
    let metrics = agent.get("/metrics").body;
    for (rule, severity) in [("any-load", "careful"), ("any-memory", "critical"), ("marked", "warning")] {
        let labels = format!("rule=\"{rule}\",instance=\"\",severity=\"{severity}\",state=\"firing\"");
        assert!(metrics.contains(&format!("netglance_alert_state{{{labels}}} 1\n")), "{rule}: {metrics}");
    }
    drop(process);
    let (kind, alert) = next();
    assert_eq!((kind.as_str(), &alert["state"]), ("alert", &"over".into()));
    assert!(alert["end"].as_f64() >= alert["since"].as_f64(), "{alert}");
    let (kind, change) = next();
    assert_eq!((kind.as_str(), &change["what"]), ("change", &"cleared".into()));
    assert_eq!(agent.json("/api/v1/alerts").as_array().unwrap().len(), 2, "what is over deserves no attention");
    assert!(!agent.get("/metrics").body.contains("rule=\"marked\""));
}

#[test]
fn mistakes_reach_curl_as_json() {
    let agent = Agent::start();
    for (path, arguments, status) in [
        ("/api/v1/tables/laod", &[][..], 404),
        ("/api/v1/tables/load?where=one+=+1", &[], 400),
        ("/api/v1/tables/load", &["--request", "DELETE"], 405),
        ("/api/v1/tables/load", &["--data", "x=1"], 405),
        ("/api/v1/tables/load", &["--header", "Accept: image/png"], 406),
    ] {
        let answer = agent.curl(path, arguments);
        assert_eq!((answer.status, answer.media.as_str()), (status, "application/json"), "{path}");
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(told["error"].is_string() && told["hint"].is_string(), "{told}");
    }
    assert_eq!(agent.get("/healthz").body, "ok\n");
    assert_eq!(agent.get("/readyz").body, "ready\n");
    let document = agent.json("/api/v1/openapi.json");
    for path in
        document["paths"].as_object().unwrap().keys().filter(|path| !path.contains('{') && !path.ends_with("events"))
    {
        assert_eq!(agent.get(path).status, 200, "{path}");
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let agent = Agent::start();
    until("a second of samples", || agent.get("/metrics").body.contains("netglance_cpu_"));
    let scrape = agent.get("/metrics");
    assert!(scrape.media.starts_with("text/plain; version=0.0.4"), "{}", scrape.media);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    promtool.stdin.take().unwrap().write_all(scrape.body.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && told.is_empty(), "{}", String::from_utf8_lossy(&told));

    let series: Vec<&str> = scrape.body.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(series.len() > 100, "{}", scrape.body);
    assert!(series.len() <= 500, "{}", series.len());
    for forbidden in ["pid=", "command=", "cpu=\"all\""] {
        assert!(series.iter().all(|line| !line.contains(forbidden)), "{forbidden}: {}", scrape.body);
    }
    let open = agent.curl("/metrics", &["--header", "Accept: application/openmetrics-text;q=0.9, text/plain;q=0.1"]);
    assert!(open.media.starts_with("application/openmetrics-text") && open.body.ends_with("\n# EOF\n"), "{open:?}");
    assert!(open.body.lines().filter(|line| line.starts_with("# TYPE")).all(|line| !line.contains("_total ")));
}

/// Debian's Prometheus, which scrapes an agent every second.
struct Prometheus {
    _child: Guard,
    address: String,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    /// Starts it, with these alerting rules.
    fn scraping(agent: &Agent, rules: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: made, static_configs: [{{targets: ['{}']}}]}}]\n",
            agent.0.address
        );
        std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
        std::fs::write(&config, text).unwrap();
        // free when asked, and hardly taken before it is used
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = Guard::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                .stderr(Stdio::null()),
        );
        Self { _child: child, address, _dir: dir }
    }

    /// What a query answers: labels and value of each series.
    fn query(&self, text: &str) -> Vec<Value> {
        let output = Command::new("curl")
            .args(["--silent", "--get", "--max-time", "20", "--data-urlencode"])
            .arg(format!("query={text}"))
            .arg(format!("http://{}/api/v1/query", self.address))
            .output()
            .unwrap();
        let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) else { return Vec::new() };
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// Every alerting rule as Prometheus knows it.
    fn rules(&self) -> Vec<Value> {
        let url = format!("http://{}/api/v1/rules", self.address);
        let output = Command::new("curl").args(["--silent", "--max-time", "20", &url]).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        answer["data"]["groups"][0]["rules"].as_array().cloned().unwrap_or_default()
    }

    fn number(&self, text: &str) -> Option<f64> {
        self.query(text).first()?["value"][1].as_str()?.parse().ok()
    }
}

#[test]
fn prometheus_scrapes_the_agent_and_tells_its_numbers() {
    let agent = Agent::start();
    let prometheus = Prometheus::scraping(&agent, "groups: []");
    until("a scrape", || prometheus.number("up") == Some(1.0));
    until("numbers", || prometheus.number("netglance_load_one").is_some());
    let boot = std::fs::read_to_string("/proc/stat").unwrap();
    let forks: f64 = boot.lines().find_map(|line| line.strip_prefix("processes ")).unwrap().parse().unwrap();
    let told = prometheus.number("{__name__=~\"netglance_.*forks.*_total\"}");
    assert!(told.is_none_or(|told| told <= forks && told > forks - 100_000.0), "{told:?} {forks}");
    // counters have rates and every interface is a series of its own
    until("a rate", || prometheus.number("sum(rate(netglance_cpu_idle_seconds_total[10s]))").is_some_and(|n| n >= 0.0));
    let links = std::fs::read_dir("/sys/class/net").unwrap().count();
    let series = prometheus.query("netglance_link_rx_bytes_total").len();
    assert!(series.abs_diff(links) <= 2, "{series} series of {links} interfaces");
    assert!(prometheus.number("min(netglance_collector_up)").is_some());
}

/// Names of metrics in an expression.
fn metrics(expression: &str) -> Vec<String> {
    let words = expression.split(|ch: char| !(ch.is_ascii_alphanumeric() || ch == '_'));
    words.filter(|word| word.starts_with("netglance_")).map(str::to_owned).collect()
}

#[test]
fn prometheus_alerts_at_the_thresholds_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("netglance.toml");
    let own = "[[threshold]]\ntable = \"link\"\ncolumn = \"rx_bytes\"\nrow = \"^lo$\"\nwarning = 0\n\
               [[threshold]]\ntable = \"link\"\ncolumn = \"rx_bytes\"\ncritical = 0\n\
               [[threshold]]\ntable = \"cpu\"\ncolumn = \"used\"\nrow = \"^all$\"\nwarning = 0\n\
               [[threshold]]\ntable = \"load\"\ncolumn = \"tasks\"\nwarning = \"1000000\"\n";
    std::fs::write(&config, own).unwrap();
    let rules = printed(&["--config", config.to_str().unwrap(), "schema", "--rules"]);
    let agent = Agent::start();
    let prometheus = Prometheus::scraping(&agent, &rules);
    let state = |name: &str, severity: &str| {
        let rules = prometheus.rules();
        let rule = rules.iter().find(|rule| rule["name"] == name && rule["labels"]["severity"] == severity)?.clone();
        Some((rule["state"].as_str()?.to_owned(), rule["alerts"].as_array()?.clone()))
    };
    // it fires when it has lasted, which is longer than this test
    until("an alert", || state("NetglanceLinkRxBytes", "warning").is_some_and(|(state, _)| state == "pending"));
    let (_, alerts) = state("NetglanceLinkRxBytes", "warning").unwrap();
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0]["annotations"]["summary"].as_str().unwrap().contains("lo"), "{alerts:?}");
    // all CPUs together, which a scraper adds up
    until("a rate of all CPUs", || state("NetglanceCpuUsed", "warning").is_some_and(|(_, alerts)| alerts.len() == 1));
    // the first threshold that fits a row decides
    let other = |(_, alerts): (String, Vec<Value>)| alerts.iter().all(|alert| alert["labels"]["name"] != "lo");
    assert!(state("NetglanceLinkRxBytes", "critical").is_some_and(other));
    assert!(state("NetglanceLoadTasks", "warning").is_some_and(|(state, _)| state == "inactive"));
    let wrong: Vec<Value> = prometheus.rules().into_iter().filter(|rule| rule["health"] == "err").collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn whatever_rules_and_dashboard_ask_for_is_scraped() {
    let rules = printed(&["--config", "/dev/null", "schema", "--rules"]);
    let dashboard: Value =
        serde_json::from_str(&printed(&["--config", "/dev/null", "schema", "--grafana"])).expect("it is JSON");
    let panels = dashboard["panels"].as_array().unwrap();
    let inside = panels.iter().flat_map(|panel| panel["panels"].as_array().into_iter().flatten());
    let drawn: Vec<&Value> = panels.iter().chain(inside).filter(|panel| panel["type"] == "timeseries").collect();
    assert!(drawn.len() > 50 && rules.matches("- alert:").count() > 20);
    let asked = drawn.iter().flat_map(|panel| metrics(panel["targets"][0]["expr"].as_str().unwrap()));
    let asked: BTreeSet<String> = asked.chain(rules.lines().flat_map(metrics)).collect();
    let agent = Agent::with("metrics_series = 5000");
    let mut scraped = String::new();
    until("everything that this host has", || {
        scraped = agent.get("/metrics").body;
        scraped.contains("netglance_link_rx_bytes_total")
    });
    let scraped: BTreeSet<String> = scraped.lines().filter(|line| !line.starts_with('#')).flat_map(metrics).collect();
    // of a table that this host has, everything that is asked for may be missing only where no row has it
    let table = |name: &str| name.split('_').nth(1).unwrap_or_default().to_owned();
    let there: BTreeSet<String> = scraped.iter().map(|name| table(name)).collect();
    let known: Vec<&String> = asked.iter().filter(|name| there.contains(&table(name))).collect();
    let missing: Vec<&&String> = known.iter().filter(|name| !scraped.contains(**name)).collect();
    assert!(missing.len() * 5 < known.len(), "{missing:?} of {} are not scraped", known.len());
}
