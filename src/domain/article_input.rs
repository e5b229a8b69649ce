//! An article's words as somebody sent them, and how they become an [`ArticleText`].

use super::article::{
    ArticleText, Dateline, Image, MAX_CREDITS, MAX_DATELINE, MAX_EXCERPT, MAX_HEADLINE,
    MAX_SUBHEADLINE,
};
use super::body::{self, Body};
use super::failure::{Faults, FieldCode, Rejection};
use super::text;

/// Characters an author's name or a tag may have.
const MAX_CREDIT: usize = 80;
/// Characters that the description of an image may have.
const MAX_ALT: usize = 500;

/// The words of an article, not checked yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArticleInput {
    /// Required.
    pub headline: String,
    /// Blank counts as absent.
    pub subheadline: Option<String>,
    /// Blank counts as absent.
    pub dateline: Dateline,
    /// Required: at least one block with content.
    pub body: Body,
    /// Made from the body when absent.
    pub excerpt: Option<String>,
    /// By its address.
    pub image: Option<Image>,
}

impl From<ArticleText> for ArticleInput {
    fn from(text: ArticleText) -> Self {
        let written = text.excerpt != text.body.excerpt();
        Self {
            headline: text.headline,
            subheadline: text.subheadline,
            dateline: text.dateline,
            excerpt: written.then_some(text.excerpt),
            body: text.body,
            image: text.image,
        }
    }
}

impl ArticleInput {
    /// The text if it can stand as it is; otherwise every fault is kept in `faults`.
    pub fn parse<C: From<FieldCode>>(self, faults: &mut Faults<C>) -> Option<ArticleText> {
        let headline = faults.text("headline", text::line(&self.headline, MAX_HEADLINE));
        let subheadline = faults
            .text("subheadline", text::optional_line(self.subheadline.as_deref(), MAX_SUBHEADLINE));
        let dateline = parse_dateline(&self.dateline, faults);
        let body = faults.take(parse_body(self.body));
        let excerpt =
            faults.text("excerpt", text::optional_line(self.excerpt.as_deref(), MAX_EXCERPT));
        let image = match self.image {
            Some(image) => faults.take(parse_image(&image)).map(Some),
            None => Some(None),
        };
        let body = body?;
        Some(ArticleText {
            headline: headline?,
            subheadline: subheadline?,
            dateline: dateline?,
            excerpt: excerpt?.unwrap_or_else(|| body.excerpt()),
            body,
            image: image?,
        })
    }
}

/// Names of authors or tags: each one line, no name twice, in order.
pub fn parse_credits<C: From<FieldCode>>(
    field: &str,
    names: &[String],
    faults: &mut Faults<C>,
) -> Option<Vec<String>> {
    if names.len() > MAX_CREDITS {
        let message = format!("holds {} names; at most {MAX_CREDITS} are allowed", names.len());
        faults.push(Rejection::at(field, FieldCode::TooLong.into(), message));
        return None;
    }
    let mut parsed: Vec<String> = Vec::new();
    for name in names {
        let name = faults.text(field, text::line(name, MAX_CREDIT))?;
        if !parsed.contains(&name) {
            parsed.push(name);
        }
    }
    Some(parsed)
}

fn parse_dateline<C: From<FieldCode>>(
    dateline: &Dateline,
    faults: &mut Faults<C>,
) -> Option<Dateline> {
    let source = faults
        .text("dateline.source", text::optional_line(dateline.source.as_deref(), MAX_DATELINE));
    let place =
        faults.text("dateline.place", text::optional_line(dateline.place.as_deref(), MAX_DATELINE));
    Some(Dateline { source: source?, place: place? })
}

fn parse_body<C: From<FieldCode>>(body: Body) -> Result<Body, Rejection<C>> {
    let too_long = |message: String| Err(Rejection::at("body", FieldCode::TooLong.into(), message));
    if body.blocks.len() > body::MAX_BLOCKS {
        let message =
            format!("has {} blocks; at most {} are allowed", body.blocks.len(), body::MAX_BLOCKS);
        return too_long(message);
    }
    let given = body.blocks.len();
    let body = body.sanitised();
    let length = body.to_text().chars().count();
    if length > body::MAX_CHARACTERS {
        return too_long(format!(
            "is {length} characters long; at most {} are allowed",
            body::MAX_CHARACTERS
        ));
    }
    if body.blocks.is_empty() {
        let message = match given {
            0 => "must not be blank",
            _ => "holds nothing that can be shown: blocks need text, or an http(s) address",
        };
        return Err(Rejection::at("body", FieldCode::Blank.into(), message));
    }
    Ok(body)
}

fn parse_image<C: From<FieldCode>>(image: &Image) -> Result<Image, Rejection<C>> {
    let url = body::web_address(&image.url)
        .ok_or_else(|| Rejection::invalid("image.url", "must be an absolute http(s) address"))?;
    let alt = text::optional_line(Some(&image.alt), MAX_ALT)
        .map_err(|fault| Rejection::text("image.alt", fault))?;
    Ok(Image { url, alt: alt.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(headline: &str, body: &str) -> ArticleInput {
        ArticleInput {
            headline: headline.to_owned(),
            body: Body::from_plain_text(body),
            ..ArticleInput::default()
        }
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let mut faults = Faults::<FieldCode>::default();
        let image = Image { url: "javascript:alert(1)".to_owned(), alt: String::new() };
        let bad = ArticleInput { image: Some(image), ..input(" ", "") };
        assert_eq!(bad.parse(&mut faults), None);
        let Err(crate::domain::failure::Failure::Rejected(rejections)) = faults.check() else {
            panic!("no faults");
        };
        let found: Vec<_> = rejections.iter().map(|r| (r.field.join("."), r.code)).collect();
        assert_eq!(
            found,
            [
                ("headline".to_owned(), FieldCode::Blank),
                ("body".to_owned(), FieldCode::Blank),
                ("image.url".to_owned(), FieldCode::Invalid),
            ]
        );
    }

    #[test]
    fn the_excerpt_follows_the_body_until_somebody_writes_one() {
        let mut faults = Faults::<FieldCode>::default();
        let text = input("خبر", "بداية").parse(&mut faults).unwrap();
        assert_eq!(text.excerpt, "بداية");
        let mut again = ArticleInput::from(text);
        again.body = Body::from_plain_text("نهاية");
        assert_eq!(again.parse(&mut faults).unwrap().excerpt, "نهاية");
    }

    #[test]
    fn names_are_kept_once() {
        let mut faults = Faults::<FieldCode>::default();
        let names = ["سارة".to_owned(), " سارة ".to_owned(), "أحمد".to_owned()];
        assert_eq!(parse_credits("authors", &names, &mut faults).unwrap(), ["سارة", "أحمد"]);
    }
}
