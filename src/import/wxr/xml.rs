//! XML as small trees: one for each element right under the channel.

use std::io::Read;

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

use super::source::Source;

/// How deep elements nest in a record; exports need three levels.
const MAX_DEPTH: usize = 16;

/// What a namespace means, whichever address it goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// RSS itself.
    Rss,
    /// WordPress' own.
    Wp,
    /// `content:encoded`.
    Content,
    /// `excerpt:encoded`.
    Excerpt,
    /// Dublin Core.
    Dc,
    /// Of no interest here.
    Other,
}

/// An element with everything in it.
#[derive(Debug)]
pub struct Element {
    /// What its namespace means.
    pub space: Space,
    /// Its name without prefix.
    pub name: String,
    /// Attributes without prefix.
    pub attributes: Vec<(String, String)>,
    /// Its own text, CDATA sections joined.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
}

impl Element {
    /// Whether it is called so.
    pub fn is(&self, space: Space, name: &str) -> bool {
        self.space == space && self.name == name
    }

    fn is_of_wordpress(&self) -> bool {
        self.space == Space::Wp || self.children.iter().any(|child| child.space == Space::Wp)
    }

    /// The text of the first child of this name, if that is not blank.
    pub fn text_of(&self, space: Space, name: &str) -> Option<&str> {
        let child = self.children.iter().find(|child| child.is(space, name))?;
        Some(child.text.as_str()).filter(|text| !text.trim().is_empty())
    }

    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }
}

/// Where and why a file cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Broken {
    /// From 1.
    pub line: u64,
    /// In words.
    pub reason: String,
}

/// Reads the elements right under `rss/channel`, one after another.
pub struct Elements<R> {
    reader: NsReader<Source<R>>,
    buffer: Vec<u8>,
    inside: Vec<String>,
    ended: bool,
    /// Whether there was a channel, and whether anything in it is WordPress' own.
    entered: bool,
    marked: bool,
}

impl<R: Read> Elements<R> {
    /// Begins to read.
    pub fn new(file: R) -> Self {
        let mut reader = NsReader::from_reader(Source::new(file));
        // A bare ampersand is a blemish, not a reason to lose the rest.
        reader.config_mut().allow_dangling_amp = true;
        Self {
            reader,
            buffer: Vec::new(),
            inside: Vec::new(),
            ended: false,
            entered: false,
            marked: false,
        }
    }

    /// Bytes taken from the file so far.
    pub fn bytes_read(&mut self) -> u64 {
        self.reader.get_mut().bytes_read()
    }

    /// The next element; `None` at the end of a whole file. After an error there is no more.
    pub fn next_element(&mut self) -> Result<Option<Element>, Broken> {
        if self.ended {
            return Ok(None);
        }
        let next = self.read();
        self.marked |= matches!(&next, Ok(Some(element)) if element.is_of_wordpress());
        self.ended = !matches!(next, Ok(Some(_)));
        next.map_err(|reason| Broken { line: self.reader.get_mut().line(), reason })
    }

    /// Whether anything that was read so far is WordPress' own.
    pub fn is_of_wordpress(&self) -> bool {
        self.marked
    }

    fn read(&mut self) -> Result<Option<Element>, String> {
        loop {
            self.reader.get_mut().begin_record();
            match next_event(&mut self.reader, &mut self.buffer)? {
                Piece::Start(element, empty) if self.inside.len() == 2 => {
                    return if empty {
                        Ok(Some(element))
                    } else {
                        read_rest(&mut self.reader, &mut self.buffer, element).map(Some)
                    };
                }
                Piece::Start(element, empty) => self.enter(&element, empty)?,
                Piece::End if self.inside.pop().is_none() => return Err("an end too many".into()),
                Piece::End | Piece::Text(_) => {}
                Piece::Eof => return self.finish(),
            }
        }
    }

    fn enter(&mut self, element: &Element, empty: bool) -> Result<(), String> {
        let expected = ["rss", "channel"][self.inside.len()];
        if element.name != expected {
            return Err(format!(
                "expected <{expected}>, found <{}>: this is no WordPress export",
                element.name
            ));
        }
        if !empty {
            self.inside.push(element.name.clone());
            self.entered |= self.inside.len() == 2;
        }
        Ok(())
    }

    fn finish(&self) -> Result<Option<Element>, String> {
        match self.inside.last() {
            Some(name) => Err(format!("the file ends inside <{name}>")),
            None if !self.entered => {
                Err("there is no <rss> <channel> in it: this is no WordPress export".to_owned())
            }
            None if !self.marked => {
                Err("nothing in it is WordPress' own: this is some other feed".to_owned())
            }
            None => Ok(None),
        }
    }
}

enum Piece {
    Start(Element, bool),
    Text(String),
    End,
    Eof,
}

fn read_rest<R: Read>(
    reader: &mut NsReader<Source<R>>,
    buffer: &mut Vec<u8>,
    root: Element,
) -> Result<Element, String> {
    let mut open = vec![root];
    loop {
        match next_event(reader, buffer)? {
            Piece::Start(element, empty) => {
                if open.len() >= MAX_DEPTH {
                    return Err(format!("elements nest deeper than {MAX_DEPTH} levels"));
                }
                match open.last_mut() {
                    Some(parent) if empty => parent.children.push(element),
                    _ => open.push(element),
                }
            }
            Piece::Text(text) => {
                if let Some(current) = open.last_mut() {
                    current.text.push_str(&text);
                }
            }
            Piece::End => {
                let Some(done) = open.pop() else {
                    return Err("an end too many".into());
                };
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => return Ok(done),
                }
            }
            Piece::Eof => {
                let names: Vec<_> = open.iter().map(|element| element.name.as_str()).collect();
                return Err(format!("the file ends inside <{}>", names.join("> <")));
            }
        }
    }
}

fn next_event<R: Read>(
    reader: &mut NsReader<Source<R>>,
    buffer: &mut Vec<u8>,
) -> Result<Piece, String> {
    loop {
        buffer.clear();
        let event = reader.read_event_into(buffer).map_err(|error| error.to_string())?.into_owned();
        return Ok(match event {
            Event::Start(start) => Piece::Start(element(reader, &start), false),
            Event::Empty(start) => Piece::Start(element(reader, &start), true),
            Event::End(_) => Piece::End,
            Event::Text(text) => Piece::Text(text.xml10_content().into_owned()),
            Event::CData(text) => Piece::Text(text.xml10_content().into_owned()),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().ok().flatten();
                let name = reference.into_inner();
                Piece::Text(match (character, name.as_ref()) {
                    (Some(character), _) => character.to_string(),
                    (None, "amp") => "&".to_owned(),
                    (None, "lt") => "<".to_owned(),
                    (None, "gt") => ">".to_owned(),
                    (None, "quot") => "\"".to_owned(),
                    (None, "apos") => "'".to_owned(),
                    // HTML's own names are resolved where the text is read as HTML.
                    (None, name) => format!("&{name};"),
                })
            }
            Event::Eof => Piece::Eof,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
        });
    }
}

fn element<R>(reader: &NsReader<Source<R>>, start: &BytesStart<'_>) -> Element {
    let (resolved, name) = reader.resolver().resolve_element(start.name());
    let space = match resolved {
        ResolveResult::Bound(namespace) => space(namespace.0),
        ResolveResult::Unknown(prefix) => space_of_prefix(&prefix),
        ResolveResult::Unbound => Space::Rss,
    };
    let attributes = start.attributes().flatten().map(|attribute| {
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let key = attribute.key.local_name().as_ref().to_owned();
        (key, value.map(|v| v.into_owned()).unwrap_or_default())
    });
    Element {
        space,
        name: name.as_ref().to_owned(),
        attributes: attributes.collect(),
        text: String::new(),
        children: Vec::new(),
    }
}

/// By what the address says, not by its letters: exports write `http` and `https`, 1.0 to 1.2.
fn space(uri: &str) -> Space {
    let uri = uri.to_ascii_lowercase();
    if uri.contains("wordpress.org/export/") {
        if uri.contains("/excerpt") { Space::Excerpt } else { Space::Wp }
    } else if uri.contains("purl.org/rss/1.0/modules/content") {
        Space::Content
    } else if uri.contains("purl.org/dc/elements") {
        Space::Dc
    } else {
        Space::Other
    }
}

fn space_of_prefix(prefix: &str) -> Space {
    match prefix {
        "wp" => Space::Wp,
        "content" => Space::Content,
        "excerpt" => Space::Excerpt,
        "dc" => Space::Dc,
        _ => Space::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Result<Vec<Element>, Broken> {
        let mut elements = Elements::new(xml.as_bytes());
        let mut all = Vec::new();
        while let Some(element) = elements.next_element()? {
            all.push(element);
        }
        Ok(all)
    }

    #[test]
    fn namespaces_count_by_meaning() {
        for uri in [
            "http://wordpress.org/export/1.0/",
            "https://wordpress.org/export/1.2",
            "https://www.wordpress.org/export/1.3/",
        ] {
            let xml = format!("<rss xmlns:x='{uri}'><channel><x:a>1</x:a></channel></rss>");
            assert!(read(&xml).unwrap()[0].is(Space::Wp, "a"), "{uri}");
        }
        let undeclared = read("<rss><channel><wp:a>1</wp:a></channel></rss>").unwrap();
        assert!(undeclared[0].is(Space::Wp, "a"));
    }

    #[test]
    fn what_is_no_export_is_refused() {
        for other in ["", "hello", "{}", "<rss></rss>", "<rss/>", "<rss><channel/></rss>"] {
            let reason = read(other).unwrap_err().reason;
            assert!(reason.contains("no WordPress export"), "{other}: {reason}");
        }
        let feed = "<rss><channel><link>x</link><item><title>t</title></item></channel></rss>";
        assert!(read(feed).unwrap_err().reason.contains("some other feed"));
        assert!(
            read("<rss><channel><item><wp:post_id>1</wp:post_id></item></channel></rss>").is_ok()
        );
    }

    #[test]
    fn text_is_joined_and_control_characters_go() {
        let xml = "<rss><channel><wp:a>x\u{1a} &amp; <![CDATA[]]]]><![CDATA[>]]>&nbsp;&#1582; & y</wp:a>\
            </channel></rss>";
        assert_eq!(read(xml).unwrap()[0].text, "x & ]]>&nbsp;خ & y");
    }

    #[test]
    fn a_broken_file_names_its_line() {
        let broken = |xml: &str| read(xml).unwrap_err();
        assert_eq!(
            broken("<rss>\n<channel>\n<item>\n<b>").to_string(),
            "line 4: the file ends inside <item> <b>"
        );
        assert_eq!(broken("<rss>\n<channel>\n<a></b>").line, 3);
        assert_eq!(broken("<rss>\n\n<feed/></rss>").line, 3);
        assert_eq!(broken("<html></html>").line, 1);
        assert!(read("<rss><channel><wp:a>\u{0}</wp:a></channel></rss>").is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let mut elements = Elements::new(&b"<rss><channel>\n<a>\xff\xfe</a></channel></rss>"[..]);
        assert_eq!(elements.next_element().unwrap_err().line, 2);
        assert!(elements.next_element().unwrap().is_none());
    }

    #[test]
    fn depth_is_bounded() {
        let xml = format!("<rss><channel>{}", "<a>".repeat(100_000));
        assert!(read(&xml).unwrap_err().reason.contains("nest"));
    }
}
