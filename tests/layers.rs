//! Does every module import only from the layers below it, and is every file somebody's?
//!
//! The sources are read as text: comments and literals are blanked out, then every path that starts at the crate's root is
//! resolved, `use` groups and `super::` included. Links in doc comments count, because they name what they depend on.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first. A module imports only from its left.
const LAYERS: &[&str] = &[
    "model", "source", "collect", "store", "export", "wire", "alert", "client", "server", "browse", "panel", "tui",
    "config", "cli", "main",
];

/// Lines of a file, without its tests.
const MAX_LINES: usize = 500;

/// A piece of Rust text that matters here.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `::`
    Path,
    Mark(char),
}

fn word(token: Option<&Token>) -> Option<&str> {
    match token {
        Some(Token::Word(word)) => Some(word),
        _ => None,
    }
}

/// Tokens of the code, and apart from them those of the doc comments' links.
fn tokens(text: &str) -> (Vec<Token>, Vec<Token>) {
    let (code, docs) = split(text);
    (scan(&code), scan(&docs))
}

/// Code with comments and literals blanked, and the backquoted or parenthesised paths of doc comments.
fn split(text: &str) -> (String, String) {
    let (mut code, mut docs) = (String::new(), String::new());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        if rest.is_empty() {
            break;
        }
        let step = if rest.starts_with("//") {
            let line = rest.lines().next().unwrap_or("");
            if line.starts_with("///") || line.starts_with("//!") {
                docs.push_str(&links(line));
            }
            line.len()
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(len) = literal(rest, at.checked_sub(1).and_then(|before| bytes.get(before))) {
            code.push_str(" \"\" ");
            len
        } else {
            let ch = rest.chars().next().unwrap();
            code.push(ch);
            ch.len_utf8()
        };
        at += step;
    }
    (code, docs)
}

/// Paths inside `[...]` and `(...)` of a doc comment.
fn links(line: &str) -> String {
    let is_link = |part: &&str| part.contains("crate::") || part.contains("super::");
    let parts: Vec<&str> = line.split(['[', ']', '(', ')', '`', ' ']).filter(is_link).collect();
    parts.join(" ; ") + " ; "
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length of the string or character literal that starts here, `None` when none does.
fn literal(rest: &str, before: Option<&u8>) -> Option<usize> {
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let prefix = rest.len() - rest.trim_start_matches(['b', 'c', 'r']).len();
    let raw = prefix > 0 && prefix <= 2 && rest.as_bytes()[prefix - 1] == b'r' && !in_word;
    if raw {
        let hashes = rest[prefix..].len() - rest[prefix..].trim_start_matches('#').len();
        if rest[prefix + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = prefix + hashes + 1;
            return Some(body + rest[body..].find(&end)? + end.len());
        }
    }
    let bytes = rest.as_bytes();
    match bytes[0] {
        b'"' => {
            let mut at = 1;
            while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            Some(at + 1)
        }
        // a lifetime has no closing quote
        b'\'' if bytes.get(1) == Some(&b'\\') => Some(3 + rest.get(3..)?.find('\'')? + 1),
        b'\'' => {
            let len = rest[1..].chars().next()?.len_utf8();
            (bytes.get(1 + len) == Some(&b'\'')).then_some(len + 2)
        }
        _ => None,
    }
}

fn scan(code: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(ch) = chars.next() {
        if ch.is_alphanumeric() || ch == '_' {
            let mut word = String::from(ch);
            while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_') {
                word.push(next);
            }
            out.push(Token::Word(word));
        } else if ch == ':' && chars.next_if_eq(&':').is_some() {
            out.push(Token::Path);
        } else if !ch.is_whitespace() {
            out.push(Token::Mark(ch));
        }
    }
    out
}

/// First segments of the group or name at `at`: `a::b` is `a`, `{a::b, c}` is `a` and `c`, `*` is `*`.
fn heads(tokens: &[Token], at: usize, out: &mut Vec<(usize, String)>) {
    match tokens.get(at) {
        Some(Token::Word(name)) => out.push((at, name.clone())),
        Some(Token::Mark('*')) => out.push((at, "*".to_owned())),
        Some(Token::Mark('{')) => {
            let (mut depth, mut start, mut i) = (0, true, at);
            while let Some(token) = tokens.get(i) {
                let closing = matches!(token, Token::Mark(',' | '}'));
                if depth == 1 && start && !closing {
                    heads(tokens, i, out);
                    start = false;
                }
                match token {
                    Token::Mark('{') => depth += 1,
                    Token::Mark('}') => depth -= 1,
                    Token::Mark(',') if depth == 1 => start = true,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                i += 1;
            }
        }
        _ => {}
    }
}

/// Top-level modules that a module at `path` names.
fn imports(path: &[String], tokens: &[Token]) -> Vec<String> {
    let mut found = Vec::new();
    // names and brace depths of the inline modules around the present token
    let mut inside: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => {
                depth -= 1;
                inside.retain(|(_, level)| *level <= depth);
            }
            Token::Word(name) if name == "mod" && tokens.get(i + 2) == Some(&Token::Mark('{')) => {
                inside.extend(word(tokens.get(i + 1)).map(|name| (name.to_owned(), depth + 1)));
            }
            Token::Word(name) if name == "crate" || name == "netglance" => {
                let foreign = i > 0 && tokens[i - 1] == Token::Path;
                if !foreign && tokens.get(i + 1) == Some(&Token::Path) {
                    collect(tokens, i + 2, &[], &mut found);
                }
            }
            Token::Word(name) if name == "super" => {
                // a later `super` of the same path was climbed with its first
                let first = i < 2 || tokens[i - 1] != Token::Path || word(tokens.get(i - 2)) != Some("super");
                if first && tokens.get(i + 1) == Some(&Token::Path) {
                    let here: Vec<String> = path.iter().cloned().chain(inside.iter().map(|(m, _)| m.clone())).collect();
                    collect(tokens, i, &here, &mut found);
                }
            }
            _ => {}
        }
    }
    found
}

/// Resolves the path that starts at `at`, seen from module `here`, to top-level modules.
fn collect(tokens: &[Token], at: usize, here: &[String], found: &mut Vec<String>) {
    let mut names = Vec::new();
    heads(tokens, at, &mut names);
    for (at, name) in names {
        match (name.as_str(), here.split_last()) {
            ("super", Some((_, above))) if tokens.get(at + 1) == Some(&Token::Path) => {
                collect(tokens, at + 2, above, found);
            }
            ("self", _) if tokens.get(at + 1) == Some(&Token::Path) => collect(tokens, at + 2, here, found),
            (_, None) => found.push(name),
            _ => {}
        }
    }
}

/// Files below a directory, sorted.
fn files(dir: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut dirs = vec![PathBuf::from(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("list {}: {error}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { out.push(path) }
        }
    }
    out.sort();
    out
}

fn sources() -> BTreeMap<PathBuf, String> {
    let rust = files("src").into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs"));
    rust.map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

/// Path of the module that a file is, from the crate's root.
fn module_of(file: &Path) -> Vec<String> {
    let inner = file.strip_prefix("src").unwrap().with_extension("");
    let mut path: Vec<String> = inner.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib")) {
        path.pop();
    }
    path
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == module)
}

/// What is wrong with the imports of a file at `path`.
fn complaints(path: &[String], text: &str, modules: &BTreeSet<String>) -> Vec<String> {
    // lib.rs is the list of all modules and imports nothing else
    let Some(layer) = path.first() else { return Vec::new() };
    let Some(own) = rank(layer) else { return vec![format!("module {layer} has no layer")] };
    // main.rs is its own crate root: its `super` and `crate` are its own modules
    let path = if layer == "main" { &path[1..] } else { path };
    let (code, docs) = tokens(text);
    let mut out = Vec::new();
    for name in imports(path, &code).into_iter().chain(imports(path, &docs)) {
        if name == "*" {
            out.push(format!("{layer} imports everything from the crate's root"));
        } else if let Some(other) = rank(&name) {
            if other > own {
                out.push(format!("{layer} imports {name}"));
            }
        } else if modules.contains(&name) {
            out.push(format!("{layer} imports {name}, which has no layer"));
        }
    }
    out
}

fn top_modules(sources: &BTreeMap<PathBuf, String>) -> BTreeSet<String> {
    sources.keys().filter_map(|file| module_of(file).into_iter().next()).collect()
}

#[test]
fn no_module_imports_from_above() {
    let sources = sources();
    let modules = top_modules(&sources);
    let bad: Vec<String> = sources
        .iter()
        .flat_map(|(file, text)| {
            let complaints = complaints(&module_of(file), text, &modules);
            complaints.into_iter().map(move |complaint| format!("{}: {complaint}", file.display()))
        })
        .collect();
    assert!(sources.len() > 10, "only {} sources were found", sources.len());
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn every_way_to_name_a_higher_module_is_seen() {
    let modules: BTreeSet<String> = ["util".to_owned()].into();
    let load = ["collect".to_owned(), "load".to_owned()];
    for (text, want) in [
        ("use crate::tui::App;", "collect imports tui"),
        ("use crate::{model::Cell, store::rate};", "collect imports store"),
        ("use crate::{model::{self, Cell}, {panel::Block}};", "collect imports panel"),
        ("fn f() { crate::store::rate::f() }", "collect imports store"),
        ("use super::super::store::View;", "collect imports store"),
        ("use super::{Cx, super::panel};", "collect imports panel"),
        ("mod tests { use super::super::super::cli::Args; }", "collect imports cli"),
        ("mod tests { fn f() {} } use super::super::cli::Args;", "collect imports cli"),
        ("/// See [`crate::store::rate`].\nfn f() {}", "collect imports store"),
        ("//! [rates](crate::store::rate)", "collect imports store"),
        ("//! [rates](super::super::store)", "collect imports store"),
        ("use crate::*;", "collect imports everything from the crate's root"),
        ("use crate::util;", "collect imports util, which has no layer"),
        ("fn f<'a>(x: &'a str) -> char { '\\'' } use crate::tui;", "collect imports tui"),
    ] {
        assert_eq!(complaints(&load, text, &modules), [want], "{text}");
    }
    for text in [
        "use crate::{model::Cell, source};",
        "use super::{Batch, Cx};",
        "use super::super::model;",
        "mod tests { use super::*; use super::super::Cx; }",
        "pub(crate) fn f() {}",
        "// crate::tui is told later\nfn f() {}",
        "/* crate::tui /* nested */ crate::tui */ fn f() {}",
        "const A: &str = \"crate::tui::App\"; const B: &str = r#\"\"crate::tui\"#;",
        "crate::table! { }",
        "use other::crate_name::tui;",
    ] {
        assert_eq!(complaints(&load, text, &modules), [""; 0], "{text}");
    }
    assert_eq!(complaints(&["main".to_owned()], "use netglance::{cli, model}; mod tests {}", &modules), [""; 0]);
    assert_eq!(complaints(&["stray".to_owned()], "", &modules), ["module stray has no layer"]);
}

/// Modules that a file declares: `mod name;`, and the names in a list like `collectors! { a, b }` beside a macro that
/// writes `mod $name;`.
fn declared(text: &str) -> BTreeSet<String> {
    let (code, _) = tokens(text);
    let mut out = BTreeSet::new();
    for (i, token) in code.iter().enumerate() {
        if word(Some(token)) == Some("mod") && code.get(i + 2) == Some(&Token::Mark(';')) {
            out.extend(word(code.get(i + 1)).map(str::to_owned));
        }
    }
    let writes_modules = code.windows(2).any(|pair| word(pair.first()) == Some("mod") && pair[1] == Token::Mark('$'));
    if writes_modules {
        for (i, window) in code.windows(3).enumerate() {
            let named = word(window.first()).is_some_and(|name| name != "macro_rules");
            if named && window[1] == Token::Mark('!') && window[2] == Token::Mark('{') {
                let list = code[i + 3..].iter().take_while(|token| **token != Token::Mark('}'));
                out.extend(list.filter_map(|token| word(Some(token)).map(str::to_owned)));
            }
        }
    }
    out
}

/// Files below `root` that no `mod` reaches from it.
fn unreached(root: &Path, files: &BTreeMap<PathBuf, String>) -> Vec<PathBuf> {
    let names_itself =
        |file: &Path| matches!(file.file_stem().and_then(|stem| stem.to_str()), Some("mod" | "lib" | "main"));
    // cargo takes `tests/name.rs` and `tests/name/main.rs` for tests
    let is_main = |file: &Path| file.ends_with("main.rs") && file.parent().and_then(Path::parent) == Some(root);
    let roots = files.keys().filter(|file| file.parent() == Some(root) || is_main(file));
    let mut todo: Vec<PathBuf> = if root == Path::new("src") {
        vec!["src/lib.rs".into(), "src/main.rs".into()]
    } else {
        roots.cloned().collect()
    };
    let mut seen = BTreeSet::new();
    while let Some(file) = todo.pop() {
        let Some(text) = files.get(&file) else { continue };
        if !seen.insert(file.clone()) {
            continue;
        }
        let is_root = file.parent() == Some(root);
        let dir = if names_itself(&file) || (is_root && root == Path::new("tests")) {
            file.parent().unwrap().to_owned()
        } else {
            file.with_extension("")
        };
        for name in declared(text) {
            todo.push(dir.join(format!("{name}.rs")));
            todo.push(dir.join(&name).join("mod.rs"));
        }
    }
    files.keys().filter(|file| !seen.contains(*file)).cloned().collect()
}

#[test]
fn every_source_file_is_part_of_the_program() {
    let sources = sources();
    assert_eq!(unreached(Path::new("src"), &sources), Vec::<PathBuf>::new());
    let redirected: Vec<_> = sources.iter().filter(|(_, text)| text.contains("#[path")).map(|(file, _)| file).collect();
    assert!(redirected.is_empty(), "#[path] hides where a module lives: {redirected:?}");
}

#[test]
fn every_file_in_tests_is_used() {
    let all = files("tests");
    let (rust, data): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|path| path.extension().is_some_and(|ext| ext == "rs"));
    let texts: BTreeMap<_, _> = rust
        .into_iter()
        .filter(|path| !path.starts_with("tests/fixtures"))
        .map(|path| (path.clone(), fs::read_to_string(&path).unwrap()))
        .collect();
    assert_eq!(unreached(Path::new("tests"), &texts), Vec::<PathBuf>::new());

    let mut speakers: Vec<String> = texts.into_values().chain(sources().into_values()).collect();
    speakers.extend(
        ["tests/run", ".ci/run", "README.md", "CONTRIBUTING.md"]
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok()),
    );
    // the closest directory below tests/ or the file itself must be named; a snapshot in
    // `snapshots` belongs to the test file it names
    let forgotten: Vec<_> = data
        .iter()
        .filter(|path| {
            let inner = path.strip_prefix("tests").unwrap();
            let name = inner.file_name().unwrap().to_str().unwrap();
            let beside = path.parent().is_some_and(|dir| dir.ends_with("snapshots"));
            if beside && path.extension().is_some_and(|ext| ext == "snap") {
                let owner = name.split("__").next().unwrap_or("");
                let written_by = path.parent().and_then(Path::parent).map(|dir| dir.join(format!("{owner}.rs")));
                return !written_by.is_some_and(|file| file.exists());
            }
            let mut parts: Vec<&str> = inner.iter().map(|part| part.to_str().unwrap()).collect();
            parts.retain(|part| *part != "fixtures");
            !parts.iter().any(|part| speakers.iter().any(|text| text.contains(part)))
        })
        .collect();
    assert!(forgotten.is_empty(), "no test names {forgotten:?}");
}

/// Whether a file holds nothing but the unit tests of the module above it.
fn is_unit_test(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "tests") || file.components().any(|part| part.as_os_str() == "tests")
}

/// Whether a program has written the file.
fn is_generated(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "generated")
}

/// Lines up to the unit tests at the end.
fn product_lines(file: &Path, text: &str) -> usize {
    if is_unit_test(file) {
        return 0;
    }
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{'));
    tests.unwrap_or(lines.len())
}

#[test]
fn every_source_file_fits_one_question() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|(file, _)| !is_generated(file))
        .map(|(file, text)| (file, product_lines(file, text)))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(file, lines)| format!("{}: {lines} lines without tests", file.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .filter(|(file, _)| !is_unit_test(file) && !is_generated(file))
        .map(|(file, _)| file)
        .collect();
    assert!(silent.is_empty(), "no module doc: {silent:?}");
}

#[test]
fn names_tell_which_tests_need_root() {
    // the runner leaves out what holds `root_` when it is not root; a name with it elsewhere would go missing by accident
    let everywhere = sources().into_iter().chain(
        files("tests")
            .into_iter()
            .filter(|f| f.extension().is_some_and(|e| e == "rs"))
            .map(|f| (f.clone(), fs::read_to_string(&f).unwrap())),
    );
    let mut bad = Vec::new();
    for (file, text) in everywhere {
        let (code, _) = tokens(&text);
        for pair in code.windows(2) {
            if let (Some("fn" | "mod"), Some(name)) = (word(pair.first()), word(pair.get(1)))
                && name.contains("root_")
                && !name.starts_with("root_")
            {
                bad.push(format!("{}: {name}", file.display()));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
