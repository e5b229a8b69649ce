//! Scripts and styles: embedded in the binary, and kept by browsers for ever under addresses that
//! hold a hash of what they answer with.
//!
//! The same address without the hash answers as well: that is what other sites include. It leads
//! nowhere else, for Chromium lets no service worker import what is redirected.

use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::response::{Refusal, not_found};

const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// How long another site's readers may have the version before.
const TEN_MINUTES: &str = "public, max-age=600";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

#[derive(RustEmbed)]
#[folder = "web/assets/"]
struct Files;

/// Where a file is served: `alerts.js` at `/assets/alerts.0123456789abcdef.js`.
pub(super) fn address(name: &str) -> String {
    let hashed = match (Files::get(name), name.rsplit_once('.')) {
        (Some(file), Some((stem, extension))) => format!("{stem}.{}.{extension}", hash(&file)),
        _ => name.to_owned(),
    };
    format!("/assets/{hashed}")
}

/// Answers with a file.
pub(super) async fn serve(Path(asked): Path<String>) -> Result<Response, Refusal> {
    if let Some(file) = Files::get(&asked) {
        return Ok(answer(&asked, file, TEN_MINUTES));
    }
    let mut parts = asked.splitn(3, '.');
    let (stem, hashed, extension) = (parts.next(), parts.next(), parts.next());
    let name = format!("{}.{}", stem.unwrap_or_default(), extension.unwrap_or_default());
    match Files::get(&name) {
        Some(file) if hashed == Some(&hash(&file)) => Ok(answer(&name, file, FOR_EVER)),
        _ => Err(not_found().await),
    }
}

/// The service worker of the newsroom's own pages: what any site puts on its own origin.
pub(super) async fn worker() -> impl IntoResponse {
    let script = format!("importScripts(\"{}\");\n", address("worker.js"));
    ([(header::CONTENT_TYPE, media_type("js")), (header::CACHE_CONTROL, "no-cache")], script)
}

fn answer(name: &str, file: EmbeddedFile, kept: &'static str) -> Response {
    let extension = name.rsplit('.').next().unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type(extension))),
        (header::CACHE_CONTROL, HeaderValue::from_static(kept)),
        (RESOURCE_POLICY, HeaderValue::from_static("cross-origin")),
    ];
    (headers, file.data.into_owned()).into_response()
}

fn media_type(extension: &str) -> &'static str {
    match extension {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// Eight bytes of SHA-256 in hex.
fn hash(file: &EmbeddedFile) -> String {
    file.metadata.sha256_hash()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_sites_include_stays_small() {
        let size = |name| Files::get(name).unwrap().data.len();
        assert!(size("alerts.js") + size("worker.js") < 10_000);
    }
}
