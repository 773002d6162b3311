//! Does any name start a program, make a file, or say something else than itself?

use std::path::Path;

use netglance::alert::Change;

use crate::letters::{Log, Manner, Post};
use crate::parts::{Parts, message};
use crate::receiver::{Authority, Web, secret};
use crate::{OK, open_dir};

/// Name, path and file of a template of each hook.
const HOOKS: [(&str, &str, &str); 6] = [
    ("plain", "/x", ""),
    ("slack", "/{token}", ""),
    ("matrix", "/send/m.room.message", ""),
    ("ntfy", "/topic", ""),
    ("pagerduty", "/x", ""),
    ("own", "/x", "t.json"),
];

/// Other actions.
const OTHERS: [&str; 3] = ["true", "mail", "log"];

/// What is traced, each process in a file of its own: two that write to one cut each other's lines.
const STRACE: [&str; 8] =
    ["strace", "-ff", "-qq", "-e", "trace=execve,execveat,openat,creat,mkdir", "-e", "signal=none", "-o"];

/// Everybody who is told.
struct Receivers {
    web: Web,
    post: Post,
    log: Log,
}

impl Receivers {
    /// Starts them, and says which actions tell them.
    fn start(dir: &Path) -> (Self, String) {
        let authority = Authority::new(dir);
        let web = Web::answering(Some(&authority), OK);
        let (post, log) = (Post::start(&authority, Manner::Plain), Log::open());
        let token = secret(dir, "token", "s3cret\n");
        std::fs::write(dir.join("t.json"), "{\"told\": {{ notifications[0].instance }}, \"by\": {{ host }}}").unwrap();
        let hook = |(name, path, own): (&str, &str, &str)| {
            let url = format!("https://localhost:{}{path}", web.address.port());
            let how = if own.is_empty() {
                format!("template = '{name}'")
            } else {
                format!("template_file = '{}'", dir.join(own).display())
            };
            let ca = authority.file.display();
            format!(
                "[[action]]\nname = '{name}'\nwebhook = {{ url = '{url}', {how}, token_file = '{token}', ca_file = '{ca}' }}\n"
            )
        };
        let others = format!(
            "[[action]]\nname = 'true'\ncommand = {{ argv = ['/bin/true', '{{}}', '-x'] }}\n\
             [[action]]\nname = 'mail'\nmail = {{ server = 'localhost:{}', tls = 'none', from = 'n@h', to = ['a@b'] }}\n\
             [[action]]\nname = 'log'\nsyslog = {{ udp = '{}' }}\n",
            post.address.port(),
            log.address(),
        );
        let actions = HOOKS.map(hook).concat() + &others;
        (Self { web, post, log }, actions)
    }

    /// Looks at what all of them were told of one name.
    fn look(&self) {
        for (action, ..) in HOOKS {
            let request = self.web.request();
            assert_eq!(request.headers.iter().filter(|header| header.starts_with("host: ")).count(), 1);
            assert!(!request.headers.iter().any(|header| header.contains("Evil")), "{action}: {:?}", request.headers);
            // whatever is in it, it is what the receiver expects
            assert!(request.json().is_object(), "{action}: {}", request.body);
        }
        let letter = self.post.letter();
        assert!(!letter.text.lines().any(|line| line.starts_with("X-Evil") || line == "."), "{}", letter.text);
        let line = self.log.message();
        assert!(line.starts_with("<26>1 ") && !line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn no_name_starts_a_program_or_makes_a_file() {
    let dir = open_dir();
    let (receivers, actions) = Receivers::start(dir.path());
    let trace = dir.path().join("trace");
    let names = names(dir.path());
    assert!(names.len() >= 200, "{}", names.len());
    let mut parts = Parts::traced(&actions, &[&STRACE[..], &[trace.to_str().unwrap()]].concat());
    for name in &names {
        for action in HOOKS.map(|(action, ..)| action).iter().chain(&OTHERS) {
            assert_eq!(parts.tell(action, &message(name, Change::Fired)), Ok(()), "{action} of {name:?}");
        }
        receivers.look();
    }
    let Parts { courier, runner, .. } = &mut parts;
    courier.end();
    runner.end();
    let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
    let traces = files.filter(|entry| entry.file_name().to_string_lossy().starts_with("trace."));
    let trace: String = traces.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect();
    let started: Vec<&str> = trace.lines().filter(|line| line.contains("exec")).collect();
    let own = started.iter().filter(|line| line.contains("\"serve\"")).count();
    let is_true = |line: &&&str| line.contains("execve(\"/bin/true\", [\"/bin/true\", \"{}\", \"-x\"]");
    let programs = started.iter().filter(is_true).count();
    assert_eq!((own, programs, started.len()), (2, names.len(), names.len() + 2));
    let made: Vec<&str> = trace.lines().filter(|line| line.contains("O_CREAT") || line.contains("mkdir(")).collect();
    assert!(made.is_empty(), "{made:?}");
    assert!(!dir.path().join("pwned").exists());
}

/// Names that somebody gives to a process, a guest or a mount so that something happens: `pwned` below a directory is a file
/// that none of them may make.
fn names(dir: &Path) -> Vec<String> {
    let file = dir.join("pwned").display().to_string();
    let words = [
        format!("touch {file}"),
        format!(">{file}"),
        format!("/usr/bin/touch {file}"),
        "id".to_owned(),
        "-oProxyCommand=id".to_owned(),
    ];
    let forms = [
        "WORD",
        "$(WORD)",
        "`WORD`",
        ";WORD;",
        "&WORD&",
        "|WORD|",
        "&&WORD&&",
        "||WORD||",
        "\nWORD\n",
        "\r\nWORD\r\n",
        "'WORD'",
        "\"WORD\"",
        "';WORD;'",
        "\";WORD;\"",
        "'\"`WORD`\"'",
        "<(WORD)",
        "${IFS}WORD",
        "{{WORD}}",
        "{{ self.__init__ }}WORD",
        "{% set x = 'WORD' %}",
        "<!channel>WORD",
        "<script>WORD</script>",
        "\\WORD\\",
        "%0aWORD",
        "%(WORD)s",
        "../../WORD",
        "\u{202e}WORD",
        "\u{1b}]0;WORD\u{7}",
        "\u{0}WORD",
        "-WORD",
        "--WORD",
        "=cmd|WORD",
        "\r\n.\r\nWORD",
        "\r\nX-Evil: WORD",
        "\"},{\"WORD\":\"",
        "]]>WORD",
        "&#x3c;WORD",
        "\u{feff}WORD",
        "*WORD?[a]",
        "~WORD",
        "#WORD",
        "\tWORD\u{b}",
    ];
    let mut names: Vec<String> =
        forms.iter().flat_map(|form| words.iter().map(|word| form.replace("WORD", word))).collect();
    names.extend(["x".repeat(4096), "ä".repeat(2048), String::new(), "'".repeat(500)]);
    names
}
