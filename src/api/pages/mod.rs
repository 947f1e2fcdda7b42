//! The pages for people: each one file that needs nothing else, in the languages of `texts.json`.
//!
//! A page is put together once for each language: `{{common.css}}`, `{{common.js}}` and `{{follow.js}}`
//! stand for those files, `{{texts}}` for the texts that its script needs, and any other `{{name}}` for a text.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::state::Auth;

/// The first is for whoever asks for none of them.
pub const LANGUAGES: [&str; 2] = ["en", "de"];

const COMMON_CSS: &str = include_str!("common.css");
const COMMON_JS: &str = include_str!("common.js");
const FOLLOW_JS: &str = include_str!("follow.js");
/// By page (or "common"), then by name, then by language.
const TEXTS: &str = include_str!("texts.json");
type Texts = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

/// A file of this folder, and what has been made of it in each language.
pub struct Page {
    name: &'static str,
    source: &'static str,
    rendered: [OnceLock<Rendered>; LANGUAGES.len()],
}

pub struct Rendered {
    pub html: String,
    pub content_security_policy: String,
}

pub static BUYER: Page = Page::new("buyer", include_str!("buyer.html"));
pub static ORGANIZER: Page = Page::new("organizer", include_str!("organizer.html"));
pub static DOOR: Page = Page::new("door", include_str!("door.html"));

impl Page {
    const fn new(name: &'static str, source: &'static str) -> Page {
        let rendered = [const { OnceLock::new() }; LANGUAGES.len()];
        Page {
            name,
            source,
            rendered,
        }
    }

    /// `language` is one of `LANGUAGES`.
    pub fn in_language(&self, language: &str, auth: Auth) -> &Rendered {
        let at = LANGUAGES.iter().position(|known| *known == language);
        self.rendered[at.unwrap_or(0)].get_or_init(|| self.render(language, auth))
    }

    fn render(&self, language: &str, auth: Auth) -> Rendered {
        let mut html = self.source.replace("{{common.css}}", COMMON_CSS);
        html = html.replace("{{common.js}}", COMMON_JS);
        html = without_margins(&html.replace("{{follow.js}}", FOLLOW_JS));
        html = html.replace("{{language}}", language);
        html = html.replace("{{auth}}", if auth == Auth::Key { "key" } else { "role" });
        let mut for_script = BTreeMap::new();
        for (name, text) in texts(self.name, language) {
            let place = format!("{{{{{name}}}}}");
            if html.contains(&place) {
                html = html.replace(&place, &escaped(&text));
            } else {
                for_script.insert(name, text);
            }
        }
        let for_script = serde_json::to_string(&for_script).expect("plain data has a JSON form");
        // Or `</script>` in a text would end it.
        html = html.replace("{{texts}}", &for_script.replace('<', "\\u003c"));
        let content_security_policy = content_security_policy(&html);
        Rendered {
            html,
            content_security_policy,
        }
    }
}

/// What is there for whoever reads the sources: indentation and lines of comment.
fn without_margins(source: &str) -> String {
    let lines = source.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn texts(page: &str, language: &str) -> BTreeMap<String, String> {
    let all: Texts = serde_json::from_str(TEXTS).expect("the file is part of the program");
    let of_page = all
        .into_iter()
        .filter(|(name, _)| name == page || name == "common");
    let all = of_page.flat_map(|(_, texts)| texts);
    all.filter_map(|(name, mut text)| Some((name, text.remove(language)?)))
        .collect()
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('"', "&quot;")
}

/// The page's own style and script run, by their hashes, and nothing else does; it talks to its own
/// server only, and stands in no frame (W3C, Content Security Policy Level 3).
fn content_security_policy(html: &str) -> String {
    let hash_of = |tag: &str| {
        let (_, rest) = html.split_once(&format!("<{tag}>")).unwrap_or_default();
        let (inside, _) = rest.split_once(&format!("</{tag}>")).unwrap_or_default();
        BASE64.encode(Sha256::digest(inside))
    };
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash_of("script"),
        hash_of("style")
    )
}
