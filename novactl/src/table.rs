//! Tables as kubectl prints them: columns three blanks apart, headings in capitals.

use std::fmt::Write as _;

/// Blanks between two columns.
const GAP: usize = 3;

/// Whether text carries colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// No.
    Plain,
    /// Yes: escape sequences for a terminal.
    Colours,
}

/// What a text says about the state of things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    #[default]
    Neutral,
    /// As it should be.
    Good,
    /// To be watched.
    Doubtful,
    /// To be fixed.
    Bad,
}

/// One cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// Headings and rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Cell {
    /// A cell without a tone.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::toned(text, Tone::Neutral)
    }

    /// A cell with a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: harmless(&text.into()),
            tone,
        }
    }

    /// A cell for the status of a condition, or of several as `1/2`.
    pub fn status(text: impl Into<String>) -> Self {
        let text = text.into();
        let tone = match text.as_str() {
            "True" => Tone::Good,
            "" | "<none>" => Tone::Neutral,
            "Unknown" | "<unknown>" => Tone::Doubtful,
            _ => Tone::Bad,
        };
        Self::toned(text, tone)
    }
}

impl Table {
    /// A table without rows.
    pub fn new(headings: Vec<&'static str>) -> Self {
        Self {
            headings,
            rows: Vec::new(),
        }
    }

    /// Adds a row with one cell per heading.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines, each behind `indent` blanks and without blanks at its end.
    pub fn render(&self, indent: usize, paint: Paint) -> String {
        let headings: Vec<Cell> = self.headings.iter().map(|h| Cell::plain(*h)).collect();
        let lines = || std::iter::once(&headings).chain(&self.rows);
        let width = |column: usize| {
            let cells = lines().filter_map(|line| line.get(column));
            cells.map(|cell| cell.text.chars().count()).max()
        };
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| width(column).unwrap_or(0))
            .collect();
        let mut text = String::new();
        for line in lines() {
            text.push_str(&" ".repeat(indent));
            let mut owed = 0;
            for (cell, width) in line.iter().zip(&widths) {
                if !cell.text.is_empty() {
                    text.push_str(&" ".repeat(owed));
                    owed = 0;
                    text.push_str(&painted(&cell.text, cell.tone, paint));
                }
                owed += width - cell.text.chars().count() + GAP;
            }
            text.push('\n');
        }
        text
    }
}

/// `text` in the colour of its tone.
pub fn painted(text: &str, tone: Tone, paint: Paint) -> String {
    let code = match (paint, tone) {
        (Paint::Plain, _) | (_, Tone::Neutral) => return text.to_owned(),
        (Paint::Colours, Tone::Good) => 32,
        (Paint::Colours, Tone::Doubtful) => 33,
        (Paint::Colours, Tone::Bad) => 31,
    };
    let mut painted = String::new();
    // Writing to a String cannot fail.
    let _ = write!(painted, "\u{1b}[{code}m{text}\u{1b}[0m");
    painted
}

/// One line without control characters: messages quote what users wrote, which must not steer a terminal.
pub fn harmless(text: &str) -> String {
    text.trim_end()
        .chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// A number of things, of which one has no `s`.
pub fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::{Cell, Paint, Table, harmless};

    fn table() -> Table {
        let mut table = Table::new(vec!["NAME", "ACCEPTED", "AGE"]);
        table.push(vec![
            Cell::plain("a-long-name"),
            Cell::status("True"),
            Cell::plain("5m"),
        ]);
        table.push(vec![
            Cell::plain("b"),
            Cell::status("False"),
            Cell::plain(""),
        ]);
        table
    }

    #[test]
    fn columns_stand_three_blanks_apart_and_lines_end_without_blanks() {
        let expect =
            "NAME          ACCEPTED   AGE\na-long-name   True       5m\nb             False\n";
        assert_eq!(table().render(0, Paint::Plain), expect);
        assert!(table().render(2, Paint::Plain).starts_with("  NAME  "));
    }

    #[test]
    fn colours_do_not_move_the_columns() {
        let painted = table().render(0, Paint::Colours);
        let bare = painted
            .replace("\u{1b}[32m", "")
            .replace("\u{1b}[31m", "")
            .replace("\u{1b}[0m", "");
        assert_ne!(painted, bare);
        assert_eq!(bare, table().render(0, Paint::Plain));
    }

    #[test]
    fn what_users_wrote_cannot_steer_a_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\nc\u{7}\n"), "a\u{fffd}[2Jb c\u{fffd}");
    }
}
