//! Who gets what from which route, and does a page in somebody's browser get anything?
//!
//! A real agent; the routes are those of its own document and of its protocol.

#![cfg(test)]

use std::process::Command;
use std::time::Instant;

use rustix::thread::UnshareFlags;

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use served::{Agent, PATIENCE, token};
use support::space::{ip, within};

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MADE"];

/// Everything that is served over HTTP, with names that there are.
fn documented(agent: &Agent) -> Vec<String> {
    let (_, answer) = agent.ask("GET /api/v1/openapi.json", &[]);
    let document: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let paths = document["paths"].as_object().unwrap().keys();
    paths.map(|path| path.replace("{table}", "load").replace("{column}", "one")).collect()
}

/// Everything that is served over gRPC.
fn methods() -> Vec<String> {
    let text = include_str!("../src/wire/netglance.proto");
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split_once('('));
    names.map(|(name, _)| format!("/netglance.v1.Agent/{name}")).collect()
}

/// An agent that has something to answer.
fn agent(more: &str) -> Agent {
    let agent = Agent::start("127.0.0.1:0", more);
    let start = Instant::now();
    while agent.ask("GET /api/v1/tables/load", &[]).0 != 200 {
        assert!(start.elapsed() < PATIENCE);
    }
    agent
}

#[test]
fn a_host_that_is_not_this_one_gets_nothing_on_any_route() {
    let agent = agent("hosts = [\"status.example.com\"]");
    let grpc = [("content-type", "application/grpc")];
    for host in ["evil.example", "evil.example:61208", "localhost.evil.example", "127.0.0.1.nip.io", ""] {
        for path in documented(&agent).iter().chain(&methods()).chain(&["/".to_owned()]) {
            assert_eq!(agent.ask(&format!("GET {path}"), &[("host", host)]).0, 421, "{host} {path}");
            assert_eq!(agent.ask(&format!("POST {path}"), &[("host", host), grpc[0]]).0, 421, "{host} {path}");
        }
    }
    let port = agent.address.rsplit_once(':').unwrap().1;
    for host in ["status.example.com", &format!("localhost:{port}"), "127.0.0.1", "[::1]:61208"] {
        assert_eq!(agent.ask("GET /metrics", &[("host", host)]).0, 200, "{host}");
    }
    // HTTP/2 has it elsewhere
    let curl = |host: &str| {
        let output = Command::new("curl")
            .args(["--silent", "--http2-prior-knowledge", "--output", "/dev/null", "--write-out", "%{http_code}"])
            .args(["--header", &format!("Host: {host}"), &format!("http://{}/metrics", agent.address)])
            .output()
            .expect("curl is installed");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!((curl("evil.example"), curl("localhost")), ("421".to_owned(), "200".to_owned()));
    // who comes over the socket is on this host anyway
    let socket = agent.socket();
    let output = Command::new("curl")
        .args(["--silent", "--unix-socket", socket.to_str().unwrap(), "http://whatever/healthz"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"ok\n");
}

#[test]
fn pages_from_elsewhere_get_no_answer_and_no_header_that_would_let_them() {
    let agent = agent("");
    let (own, host) = (format!("http://{}", agent.address), agent.address.clone());
    let origins: Vec<String> =
        ["null", "http://localhost", "https://localhost", "http://127.0.0.1", "file://", "*", "x"]
            .map(str::to_owned)
            .into_iter()
            .chain(["evil.example", "localhost", "127.0.0.1", "[::1]"].into_iter().flat_map(|host| {
                ["http", "https", "ws", "chrome-extension", "moz-extension"].map(|kind| format!("{kind}://{host}:1"))
            }))
            .chain([own.replace("http", "ftp"), format!("{own}.evil.example"), format!("http://x@{}", agent.address)])
            .collect();
    assert!(origins.len() >= 30);
    let guards =
        ["cache-control: no-store", "x-content-type-options: nosniff", "content-security-policy: default-src 'none'"];
    for path in documented(&agent).iter().filter(|path| !path.ends_with("/events")).chain(&methods()) {
        for origin in &origins {
            let (status, answer) = agent.ask(&format!("GET {path}"), &[("host", &host), ("origin", origin)]);
            assert_eq!(status, 403, "{path} {origin}");
            assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
        }
        for site in ["cross-site", "same-site", "nonsense"] {
            let headers = [("host", host.as_str()), ("sec-fetch-site", site)];
            assert_eq!(agent.ask(&format!("GET {path}"), &headers).0, 403, "{path} {site}");
        }
        for method in METHODS {
            let headers = [("host", host.as_str()), ("origin", &own), ("access-control-request-method", "GET")];
            let (status, answer) = agent.ask(&format!("{method} {path}"), &headers);
            let answer = answer.to_ascii_lowercase();
            assert!(status != 403 && !answer.contains("access-control"), "{method} {path}: {answer}");
            for guard in guards.into_iter().filter(|_| !answer.contains("content-type: application/grpc")) {
                assert!(answer.contains(guard), "{method} {path}: {answer}");
            }
        }
    }
}

#[test]
fn every_route_takes_its_methods_and_its_kind_of_content() {
    let agent = agent("");
    for path in documented(&agent).iter().filter(|path| !path.ends_with("/events")) {
        for method in METHODS {
            let (status, answer) = agent.ask(&format!("{method} {path}"), &[]);
            assert_eq!(status, if matches!(method, "GET" | "HEAD") { 200 } else { 405 }, "{method} {path}: {answer}");
            assert!(method != "HEAD" || answer.ends_with("\r\n\r\n"), "{answer}");
        }
    }
    for path in methods() {
        // nobody acts here without a right to, whatever the content
        let denied = path.ends_with("/Act");
        for method in METHODS.iter().filter(|method| **method != "POST" && **method != "TRACE") {
            let (status, answer) = agent.ask(&format!("{method} {path}"), &[]);
            let told = status == 405 && (*method == "HEAD" || answer.contains("\r\n\r\n{\"error\":"));
            assert!(denied && answer.contains("grpc-status: 7") || told, "{method} {path}: {answer}");
        }
        for kind in ["application/json", "text/plain", "application/x-www-form-urlencoded", "application/grpc-web", ""]
        {
            let (status, answer) =
                agent.ask(&format!("POST {path}"), &[("content-type", kind), ("content-length", "0")]);
            let told = status == 415 && answer.contains("\r\n\r\n{\"error\":");
            assert!(denied && answer.contains("grpc-status: 7") || told, "{kind} {path}: {answer}");
        }
    }
}

/// Status and answer of a request to another host over TLS.
fn away(agent: &Agent, method: &str, path: &str, token: Option<&str>) -> (String, String) {
    let port = agent.address.rsplit_once(':').unwrap().1;
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--insecure",
        "--http2",
        "--include",
        "--max-time",
        "10",
        "--write-out",
        "\n%{http_code}",
    ]);
    if method == "HEAD" {
        command.arg("--head");
    } else {
        command.args(["--request", method]);
    }
    if path.starts_with("/netglance.") {
        command.args(["--header", "Content-Type: application/grpc"]);
    }
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let output = command.arg(format!("https://10.9.9.1:{port}{path}")).output().expect("curl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (answer, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), answer.to_owned())
}

#[test]
fn root_whoever_comes_from_elsewhere_without_a_name_gets_nothing_but_a_sign_of_life() {
    within(UnshareFlags::NEWNET, || {
        // who asks the host by an address of its own comes from that
        ip("link set lo up\naddress add 10.9.9.1/32 dev lo");
        let mut view = String::new();
        let agent = Agent::prepared("0.0.0.0:0", "", |dir| view = token(dir, &["one"]));
        let paths: Vec<String> = {
            let (_, answer) = away(&agent, "GET", "/api/v1/openapi.json", Some(&view));
            let document = answer.rsplit_once("\r\n\r\n").unwrap().1;
            let document: serde_json::Value = serde_json::from_str(document).unwrap();
            let paths = document["paths"].as_object().unwrap().keys();
            paths.map(|path| path.replace("{table}", "load").replace("{column}", "one")).collect()
        };
        assert!(paths.len() >= 10);
        for path in paths.iter().chain(&methods()) {
            let open = matches!(path.as_str(), "/healthz" | "/readyz");
            for method in METHODS.iter().filter(|method| **method != "TRACE") {
                let (status, answer) = away(&agent, method, path, None);
                let told = *method == "HEAD" || answer.contains("\r\n\r\n{\"error\":\"it is not known who asks\",");
                let refused = status == "401" && told || answer.contains("grpc-status: 16");
                assert_eq!(refused, !open, "{method} {path}: {status} {answer}");
            }
        }
        let (status, answer) = away(&agent, "POST", "/netglance.v1.Agent/Act", Some(&view));
        assert!(status == "200" && answer.contains("grpc-status: 7"), "{answer}");
        assert_eq!(away(&agent, "GET", "/api/v1/schema", Some(&view)).0, "200");
        assert_eq!(away(&agent, "GET", "/nowhere", None).0, "404");
    });
}
