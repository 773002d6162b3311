//! Which network namespace is this?

use std::sync::LazyLock;

use crate::model::Text;

/// Name of the network namespace that netglance runs in.
pub const HOST: &str = "host";

/// [`HOST`] as a text that all rows share.
pub fn host() -> Text {
    static NAME: LazyLock<Text> = LazyLock::new(|| Text::from(HOST));
    NAME.clone()
}
