//! What does each meaning look like on this terminal?
//!
//! A theme file names colors for roles; here they become styles, reduced to what the terminal has: 24-bit, 256 or 16
//! colors, or none. Without colors levels and selection stay visible by weight and reversal, and always by glyph.

use std::path::Path;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use crate::model::Level;
use crate::panel::Role;

/// How many colors a terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// None.
    Mono,
    /// The sixteen of every terminal.
    Sixteen,
    /// The xterm cube.
    Indexed,
    /// 24 bits.
    True,
}

/// What the environment says of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// Colors.
    pub depth: Depth,
    /// Whether nothing beyond ASCII can be shown.
    pub ascii: bool,
}

impl Ability {
    /// Reads `NO_COLOR`, `COLORTERM`, `TERM`, `LC_ALL`, `LC_CTYPE` and `LANG` through `get`.
    pub fn new(get: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let term = get("TERM").unwrap_or_default();
        // a terminal without a name is one of which nothing is known
        let plain =
            matches!(term.as_str(), "" | "dumb" | "unknown") || term.starts_with("vt1") || term.starts_with("vt2");
        let depth = if get("NO_COLOR").is_some() || plain {
            Depth::Mono
        } else if get("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit")
            || term.ends_with("-direct")
        {
            Depth::True
        } else if term.contains("256color") || term.starts_with("alacritty") || term.contains("kitty") {
            Depth::Indexed
        } else {
            Depth::Sixteen
        };
        let locale = get("LC_ALL").or_else(|| get("LC_CTYPE")).or_else(|| get("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let ascii = !(locale.contains("utf-8") || locale.contains("utf8")) || term == "linux" || term == "dumb";
        Self { depth, ascii }
    }

    /// What the environment of this process says.
    pub fn of_environment() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }
}

/// Why a theme cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ThemeError {
    /// No theme has that name.
    #[error("no theme `{name}`; there are {known}")]
    Unknown {
        /// As asked.
        name: String,
        /// All names.
        known: String,
    },
    /// The file cannot be read.
    #[error("read theme {path}: {cause}")]
    Read {
        /// File.
        path: String,
        /// Reason.
        cause: std::io::Error,
    },
    /// The file is wrong.
    #[error("{place}: {cause}")]
    Parse {
        /// Name of the file, line and column.
        place: String,
        /// Reason, in one line.
        cause: String,
    },
}

/// Themes that the program carries.
pub const BUILTIN: &[(&str, &str)] = &[
    ("default", include_str!("../../themes/default.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
    ("gruvbox", include_str!("../../themes/gruvbox.toml")),
    ("nord", include_str!("../../themes/nord.toml")),
    ("dracula", include_str!("../../themes/dracula.toml")),
    ("solarized-dark", include_str!("../../themes/solarized-dark.toml")),
    ("solarized-light", include_str!("../../themes/solarized-light.toml")),
    ("catppuccin", include_str!("../../themes/catppuccin.toml")),
];

/// Largest theme file that is read.
const LARGEST: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    #[serde(default)]
    colors: Option<Colors>,
}

/// Every color of a theme.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Colors {
    text: Paint,
    background: Paint,
    muted: Paint,
    title: Paint,
    label: Paint,
    value: Paint,
    accent: Paint,
    stale: Paint,
    frame: Paint,
    ok: Paint,
    careful: Paint,
    warning: Paint,
    critical: Paint,
    selected: Paint,
    bar: Paint,
    bar_back: Paint,
}

/// A color as written: `"#rrggbb"` or `"none"` for the terminal's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Paint(Option<(u8, u8, u8)>);

impl TryFrom<String> for Paint {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let wrong = || format!("`{text}` is no color; write \"#rrggbb\" or \"none\"");
        let plain = |hex: &&str| hex.len() == 6 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        let hex = text.strip_prefix('#').filter(plain).ok_or_else(wrong)?;
        let number = u32::from_str_radix(hex, 16).map_err(|_| wrong())?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self(Some((red, green, blue))))
    }
}

/// A theme, ready for one terminal.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    /// Name in the configuration.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// What the terminal can show.
    pub ability: Ability,
    colors: Option<Colors>,
}

impl Theme {
    /// A theme by name: one of the user's directory first, then one that the program carries.
    ///
    /// # Errors
    /// [`ThemeError`].
    pub fn named(name: &str, dir: Option<&Path>, ability: Ability) -> Result<Self, ThemeError> {
        if let Some(path) =
            dir.map(|dir| dir.join(format!("{name}.toml"))).filter(|path| is_name(name) && path.is_file())
        {
            let place = crate::model::Text::from(path.as_path()).to_string();
            return Self::parse(name, &place, &read(&path)?, ability);
        }
        match BUILTIN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::parse(name, name, text, ability),
            None => Err(ThemeError::Unknown { name: name.to_owned(), known: names(dir).join(", ") }),
        }
    }

    fn parse(name: &str, file: &str, text: &str, ability: Ability) -> Result<Self, ThemeError> {
        let file: File = toml::from_str(text).map_err(|error| wrong(file, text, &error))?;
        let title = crate::model::Text::from(file.title.as_str()).to_string();
        Ok(Self { name: name.to_owned(), title, ability, colors: file.colors })
    }

    /// The style without any color, for when no theme can be had.
    pub fn plain(ability: Ability) -> Self {
        Self { name: "mono".to_owned(), title: "No color".to_owned(), ability, colors: None }
    }

    fn color(&self, pick: impl Fn(&Colors) -> Paint) -> Option<Color> {
        let (red, green, blue) = pick(self.colors.as_ref()?).0?;
        match self.ability.depth {
            Depth::Mono => None,
            Depth::Sixteen => Some(sixteen(red, green, blue)),
            Depth::Indexed => Some(Color::Indexed(indexed(red, green, blue))),
            Depth::True => Some(Color::Rgb(red, green, blue)),
        }
    }

    fn colored(&self) -> bool {
        self.colors.is_some() && self.ability.depth != Depth::Mono
    }

    fn fg(&self, pick: impl Fn(&Colors) -> Paint) -> Style {
        self.color(pick).map_or(Style::new(), |color| Style::new().fg(color))
    }

    /// Background and text of everything.
    pub fn base(&self) -> Style {
        let style = self.fg(|c| c.text);
        // sixteen colors cannot be trusted to make a readable pair with a background of ours
        match self.color(|c| c.background).filter(|_| self.ability.depth != Depth::Sixteen) {
            Some(color) => style.bg(color),
            None if self.ability.depth == Depth::Sixteen => Style::new(),
            None => style,
        }
    }

    /// Style of a role.
    pub fn role(&self, role: Role) -> Style {
        let weak = |style: Style| if self.colored() { style } else { style.add_modifier(Modifier::DIM) };
        match role {
            Role::Plain => Style::new(),
            Role::Muted => weak(self.fg(|c| c.muted)),
            Role::Title => self.fg(|c| c.title).add_modifier(Modifier::BOLD),
            Role::Label => self.fg(|c| c.label),
            Role::Value => self.fg(|c| c.value),
            Role::Accent => self.fg(|c| c.accent),
            Role::Stale => weak(self.fg(|c| c.stale)),
            Role::Level(level) => self.level(level),
        }
    }

    /// Style of a level.
    pub fn level(&self, level: Level) -> Style {
        match level {
            Level::Ok => self.fg(|c| c.ok),
            Level::Careful => self.fg(|c| c.careful),
            Level::Warning => self.fg(|c| c.warning).add_modifier(Modifier::BOLD),
            Level::Critical if self.colored() => self.fg(|c| c.critical).add_modifier(Modifier::BOLD),
            Level::Critical => Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED),
        }
    }

    /// Lines around panels.
    pub fn frame(&self) -> Style {
        self.fg(|c| c.frame)
    }

    /// The selected row.
    pub fn selected(&self) -> Style {
        match self.color(|c| c.selected).filter(|_| self.ability.depth != Depth::Sixteen) {
            Some(color) => Style::new().bg(color).add_modifier(Modifier::BOLD),
            None => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// The filled part of a bar.
    pub fn bar(&self, role: Role) -> Style {
        match role {
            Role::Plain | Role::Value | Role::Level(Level::Ok) => self.fg(|c| c.bar),
            Role::Level(level) => self.fg(|c| match level {
                Level::Ok => c.bar,
                Level::Careful => c.careful,
                Level::Warning => c.warning,
                Level::Critical => c.critical,
            }),
            other => self.role(other),
        }
    }

    /// The empty part of a bar.
    pub fn bar_back(&self) -> Style {
        match self.color(|c| c.bar_back).filter(|_| self.ability.depth != Depth::Sixteen) {
            Some(color) => Style::new().bg(color),
            None => Style::new(),
        }
    }
}

/// Whether a file of that name can be asked for.
fn is_name(name: &str) -> bool {
    name.chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '-' || ch == '_')
}

/// Every theme's name.
pub fn names(dir: Option<&Path>) -> Vec<String> {
    let mut names: Vec<String> = BUILTIN.iter().map(|(name, _)| (*name).to_owned()).collect();
    let builtin = names.len();
    let entries = dir.and_then(|dir| std::fs::read_dir(dir).ok());
    for entry in entries.into_iter().flatten().flatten().take(256) {
        let path = entry.path();
        if path.extension().is_some_and(|ext| ext == "toml")
            && let Some(name) = path.file_stem().and_then(std::ffi::OsStr::to_str)
            && is_name(name)
            // what is no file, such as a pipe, cannot be read to its end
            && path.is_file()
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    if let Some(own) = names.get_mut(builtin..) {
        own.sort_unstable();
    }
    names
}

/// One line about a file that is wrong: where, then why.
fn wrong(file: &str, text: &str, error: &toml::de::Error) -> ThemeError {
    let before = error.span().and_then(|span| text.get(..span.start));
    let place = before.map_or_else(
        || file.to_owned(),
        |before| {
            let (line, last) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or(before));
            format!("{file}:{line}:{}", last.chars().count() + 1)
        },
    );
    let cause = error.message().lines().map(|line| crate::model::Text::from(line.trim()).to_string());
    ThemeError::Parse { place, cause: cause.collect::<Vec<_>>().join(": ") }
}

fn read(path: &Path) -> Result<String, ThemeError> {
    use std::io::Read as _;
    let fail = |cause| ThemeError::Read { path: crate::model::Text::from(path).to_string(), cause };
    let mut text = String::new();
    std::fs::File::open(path).map_err(fail)?.take(LARGEST).read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// Nearest color of the xterm palette's cube and gray ramp.
fn indexed(red: u8, green: u8, blue: u8) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let step =
        |value: u8| (0..6u8).min_by_key(|i| STEPS.get(usize::from(*i)).map_or(255, |s| s.abs_diff(value))).unwrap_or(5);
    let level = |i: u8| STEPS.get(usize::from(i)).copied().unwrap_or(255);
    let (r, g, b) = (step(red), step(green), step(blue));
    let mean = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    let ramp = (mean.saturating_sub(3) / 10).min(23) as u8;
    let gray = 8 + ramp * 10;
    let wanted = (red, green, blue);
    if distance(wanted, (gray, gray, gray)) < distance(wanted, (level(r), level(g), level(b))) {
        232 + ramp
    } else {
        16 + 36 * r + 6 * g + b
    }
}

/// Nearest of the sixteen colors, by hue first: dim colors of a theme must not all become gray.
fn sixteen(red: u8, green: u8, blue: u8) -> Color {
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    if most - least < 48 {
        return match most {
            0..64 => Color::Black,
            64..150 => Color::DarkGray,
            150..220 => Color::Gray,
            _ => Color::White,
        };
    }
    let middle = least + (most - least) / 2;
    match (red > middle, green > middle, blue > middle) {
        (true, true, _) => Color::Yellow,
        (true, false, true) => Color::Magenta,
        (true, false, false) => Color::Red,
        (false, true, true) => Color::Cyan,
        (false, true, false) => Color::Green,
        (false, false, _) => Color::Blue,
    }
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    square(a.0, b.0) + square(a.1, b.1) + square(a.2, b.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUE: Ability = Ability { depth: Depth::True, ascii: false };

    fn ability(pairs: &[(&str, &str)]) -> Ability {
        Ability::new(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn every_theme_file_is_embedded_and_parses() {
        let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/themes"))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        let mut known = names(None);
        known.sort();
        assert_eq!(files, known);
        for name in known {
            assert!(!Theme::named(&name, None, TRUE).unwrap().title.is_empty());
        }
        assert!(names(None).len() >= 8);
    }

    #[test]
    fn an_unknown_theme_or_color_is_an_error() {
        assert!(Theme::named("nope", None, TRUE).unwrap_err().to_string().contains("gruvbox"));
        assert!(Theme::named("../../etc/passwd", Some(Path::new("/tmp")), TRUE).is_err());
        assert!(Theme::parse("x", "x", "title = \"x\"\n[colors]\ntext = \"blue\"", TRUE).is_err());
        for wrong in ["#+12345", "#12345", "123456", "#12345é"] {
            assert!(Paint::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_files_are_themes_and_those_of_the_user_are_sorted() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["zebra", "able", "middle"] {
            std::fs::write(at(&format!("{name}.toml")), "title = \"x\"").unwrap();
        }
        std::fs::create_dir(at("folder.toml")).unwrap();
        std::os::unix::fs::symlink("loop.toml", at("loop.toml")).unwrap();
        std::os::unix::fs::symlink("nothing", at("dangling.toml")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero.toml")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe.toml"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(names(Some(dir.path()))[names(None).len()..], ["able", "middle", "zebra"]);
    }

    #[test]
    fn a_wrong_theme_is_told_in_one_line_with_its_place_first() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine.toml");
        std::fs::write(&file, "title = \"x\"\n  colours = 1\n").unwrap();
        let said = Theme::named("mine", Some(dir.path()), TRUE).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{}:2:3: unknown field", file.display())), "{said}");
        assert_eq!(said.lines().count(), 1);
        std::fs::write(&file, "title = \"x").unwrap();
        let said = Theme::named("mine", Some(dir.path()), TRUE).unwrap_err().to_string();
        assert!(said.contains("mine.toml:1:") && said.lines().count() == 1, "{said}");
    }

    #[test]
    fn the_environment_decides_colors_and_ascii() {
        let utf8 = ("LANG", "de_DE.UTF-8");
        assert_eq!(ability(&[utf8, ("TERM", "xterm-256color")]), Ability { depth: Depth::Indexed, ascii: false });
        assert_eq!(ability(&[utf8, ("TERM", "xterm"), ("COLORTERM", "truecolor")]).depth, Depth::True);
        assert_eq!(ability(&[utf8, ("TERM", "xterm-256color"), ("NO_COLOR", "1")]).depth, Depth::Mono);
        assert!(ability(&[("TERM", "xterm"), ("LC_ALL", "C"), utf8]).ascii);
        assert_eq!(ability(&[utf8, ("TERM", "linux")]), Ability { depth: Depth::Sixteen, ascii: true });
    }

    #[test]
    fn levels_differ_in_every_theme_and_depth() {
        for name in names(None) {
            for depth in [Depth::Mono, Depth::Sixteen, Depth::Indexed, Depth::True] {
                let theme = Theme::named(&name, None, Ability { depth, ascii: false }).unwrap();
                let warning = theme.level(Level::Warning);
                assert_ne!(warning, theme.level(Level::Critical), "{name} {depth:?}");
                assert_ne!(warning, theme.level(Level::Ok), "{name} {depth:?}");
                assert_ne!(theme.selected(), Style::new(), "{name} {depth:?}");
            }
        }
    }

    #[test]
    fn the_accent_is_taken_for_no_level() {
        for name in names(None) {
            let theme = Theme::named(&name, None, TRUE).unwrap();
            let Some(colors) = theme.colors else { continue };
            let accent = colors.accent.0.unwrap();
            for level in [colors.ok, colors.careful, colors.warning, colors.critical, colors.bar] {
                assert!(distance(accent, level.0.unwrap()) > 50 * 50, "{name}: {level:?}");
            }
        }
    }

    #[test]
    fn colors_are_reduced_to_the_nearest() {
        assert_eq!(indexed(255, 0, 0), 196);
        assert_eq!(indexed(128, 128, 128), 244);
        assert_eq!(sixteen(255, 107, 107), Color::Red);
        assert_eq!(sixteen(229, 180, 85), Color::Yellow);
    }
}
