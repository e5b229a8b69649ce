//! What an import took, what it left, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A count for each reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, reason: impl Into<String>) {
        *self.0.entry(reason.into()).or_default() += 1;
    }

    /// Counts all of another tally.
    pub fn add_all(&mut self, other: &Self) {
        for (reason, count) in &other.0 {
            *self.0.entry(reason.clone()).or_default() += count;
        }
    }

    /// Over all reasons.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Reasons with their counts, in the alphabet's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(reason, count)| (reason.as_str(), *count))
    }
}

/// What came of one kind of thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Brought in now.
    pub taken: u64,
    /// Brought in by an earlier run.
    pub already: u64,
    /// Of those, how many are in another edition than the one that was asked for, and in which.
    pub elsewhere: Tally,
    /// Not brought in, and why.
    pub left_out: Tally,
}

impl Outcome {
    /// How many the file held.
    pub fn total(&self) -> u64 {
        self.taken + self.already + self.left_out.total()
    }
}

/// The summary of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Posts, pages, attachments and whatever else the file holds beside comments.
    pub articles: Outcome,
    /// Comments under all of those.
    pub comments: Outcome,
    /// What is not here as it was there.
    pub changed: Tally,
    /// The categories of the articles that were taken.
    pub categories: BTreeSet<String>,
    /// Their tags.
    pub tags: BTreeSet<String>,
    /// Their authors.
    pub authors: BTreeSet<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_outcome(f, "Articles", &self.articles)?;
        write_outcome(f, "Comments", &self.comments)?;
        writeln!(
            f,
            "Of the articles taken: categories {}, tags {}, authors {}",
            self.categories.len(),
            self.tags.len(),
            self.authors.len()
        )?;
        if self.changed.total() > 0 {
            writeln!(f, "Taken with changes:")?;
            write_tally(f, &self.changed)?;
        }
        Ok(())
    }
}

fn write_outcome(f: &mut fmt::Formatter<'_>, name: &str, outcome: &Outcome) -> fmt::Result {
    let left_out = outcome.left_out.total();
    writeln!(
        f,
        "{name}: {} taken, {} already there, {left_out} left out",
        outcome.taken, outcome.already
    )?;
    write_tally(f, &outcome.elsewhere)?;
    write_tally(f, &outcome.left_out)
}

fn write_tally(f: &mut fmt::Formatter<'_>, tally: &Tally) -> fmt::Result {
    for (reason, count) in tally.iter() {
        writeln!(f, "  {reason}: {count}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_well() {
        let mut report = Report::default();
        report.articles.taken = 3;
        report.articles.left_out.add("pages");
        report.articles.left_out.add("pages");
        report.articles.already = 1;
        report.articles.elsewhere.add("already there, in the edition en");
        report.tags.insert("وسم".to_owned());
        report.changed.add("kept as drafts: protected by a password");
        assert_eq!(report.articles.total(), 6);
        assert_eq!(
            report.to_string(),
            "Articles: 3 taken, 1 already there, 2 left out\n  \
               already there, in the edition en: 1\n  \
               pages: 2\n\
             Comments: 0 taken, 0 already there, 0 left out\n\
             Of the articles taken: categories 0, tags 1, authors 0\n\
             Taken with changes:\n  \
               kept as drafts: protected by a password: 1\n"
        );
    }
}
