//! What does OpenStack call a guest of libvirt?
//!
//! To libvirt its guests are `instance-0000002a`. What people have called one, Nova writes beside it into the description that
//! libvirt keeps: an element of its own, in which no other program writes.
//!
//! Source: `nova/virt/libvirt/config.py` of Nova (`LibvirtConfigGuestMetaNovaInstance`); XML 1.0, section 4.6.

use crate::model::Text;

/// Longest reference to a character, between `&` and `;`.
const MAX_REFERENCE: usize = 8;

/// The name in a description of a domain; `None` in one that Nova has not written.
pub fn name(description: &[u8]) -> Option<Text> {
    let own = between(description, b"<nova:instance", b"</nova:instance>")?;
    let name = between(own, b"<nova:name>", b"</nova:name>")?;
    let name = plain(name.trim_ascii());
    (!name.is_empty()).then(|| Text::new(&name))
}

/// What is between the first `begin` and the first `end` behind it.
fn between<'a>(text: &'a [u8], begin: &[u8], end: &[u8]) -> Option<&'a [u8]> {
    let rest = text.get(find(text, begin)? + begin.len()..)?;
    rest.get(..find(rest, end)?)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Undoes references to characters; one that is not understood stays as it is.
fn plain(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((byte, after)) = rest.split_first() {
        let end = after.iter().take(MAX_REFERENCE).position(|byte| *byte == b';').filter(|_| *byte == b'&');
        let known = end.and_then(|end| Some((character(after.get(..end)?)?, after.get(end + 1..)?)));
        rest = if let Some((character, behind)) = known {
            out.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
            behind
        } else {
            out.push(*byte);
            after
        };
    }
    out
}

fn character(reference: &[u8]) -> Option<char> {
    let number = std::str::from_utf8(reference.strip_prefix(b"#").unwrap_or_default()).ok()?;
    match reference {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        _ => {
            let hexadecimal = number.strip_prefix('x');
            let parsed = hexadecimal.map_or_else(|| number.parse(), |digits| u32::from_str_radix(digits, 16));
            parsed.ok().and_then(char::from_u32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(description: &str) -> Option<String> {
        name(description.as_bytes()).map(|name| name.to_string())
    }

    #[test]
    fn the_name_of_an_instance_is_what_nova_has_written() {
        let description = r#"<domain type='kvm' id='3'>
          <name>instance-0000002a</name>
          <description>a &lt;nova:name&gt;trap&lt;/nova:name&gt;</description>
          <metadata>
            <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
              <nova:package version="26.1.0"/>
              <nova:name>web &amp; &lt;db&gt; &#x26;&#228;&nope;&#xd800;&</nova:name>
              <nova:owner><nova:project uuid="9">demo</nova:project></nova:owner>
            </nova:instance>
          </metadata>
        </domain>"#;
        assert_eq!(named(description).as_deref(), Some("web & <db> &ä&nope;&#xd800;&"));
        let other = "<domain><name>web</name><metadata><x:name>y</x:name></metadata></domain>";
        for none in [other, "", "<nova:instance><nova:name> </nova:name></nova:instance>", "<nova:name>a</nova:name>"] {
            assert_eq!(named(none), None, "{none}");
        }
        let whole = "<nova:instance><nova:name>a</nova:name></nova:instance>";
        assert_eq!(named(whole).as_deref(), Some("a"));
        assert!((0..whole.len()).all(|length| named(&whole[..length]).is_none()));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(text in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = name(&[b"<nova:instance><nova:name>", text.as_slice(), b"</nova:name></nova:instance>"].concat());
        }
    }
}
