//! The .tar.gz, with its limits.

use std::{fmt::Write as _, io};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use super::redact::{redact_text, redact_value};
use crate::output::yaml;

/// Bytes of one file; the rest is cut.
pub const MAX_FILE: usize = 16 << 20;
/// Bytes of all files; what comes after is left out.
pub const MAX_WHOLE: usize = 256 << 20;

/// What stands at the end of a file that was cut.
const CUT: &str = "\n[cut here by novactl]\n";

/// An archive in the making.
pub struct Archive<W: io::Write> {
    tar: tar::Builder<GzEncoder<W>>,
    folder: String,
    time: u64,
    left: usize,
    names: Vec<String>,
    remarks: Vec<String>,
}

impl<W: io::Write> Archive<W> {
    /// An archive whose files are in one `folder`, and of one `time` in seconds since 1970.
    pub fn new(to: W, folder: &str, time: u64) -> Self {
        Self {
            tar: tar::Builder::new(GzEncoder::new(to, Compression::default())),
            folder: folder.to_owned(),
            time,
            left: MAX_WHOLE,
            names: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Adds a text, without the secrets that its lines show.
    pub fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        let text = redact_text(text);
        self.file(name, &text)
    }

    /// Adds a value as YAML, without its secrets.
    pub fn value(&mut self, name: &str, mut value: Value) -> io::Result<()> {
        redact_value(&mut value);
        let text = yaml(&value).map_err(io::Error::other)?;
        self.file(name, &text)
    }

    /// Says what is missing, or cut.
    pub fn remark(&mut self, remark: impl Into<String>) {
        self.remarks.push(redact_text(&remark.into()));
    }

    /// What was said.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Adds the page that says what is there and what is not, and ends the archive.
    pub fn finish(mut self, about: &str) -> io::Result<W> {
        let mut page = format!("{about}\n\nFiles:\n");
        for name in &self.names {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "  {name}");
        }
        if self.remarks.is_empty() {
            page.push_str("\nNothing is missing.\n");
        } else {
            page.push_str("\nMissing or cut:\n");
            for remark in &self.remarks {
                let _ = writeln!(page, "  {remark}");
            }
        }
        self.left = self.left.max(page.len());
        self.file("README.txt", &page)?;
        self.tar.into_inner()?.finish()
    }

    fn file(&mut self, name: &str, text: &str) -> io::Result<()> {
        let limit = MAX_FILE.min(self.left);
        let mut bytes = text;
        let mut end = "";
        if bytes.len() > limit {
            if limit < CUT.len() {
                self.remarks.push(format!(
                    "{name} is left out: the bundle has its {} MiB.",
                    MAX_WHOLE >> 20
                ));
                return Ok(());
            }
            let mut at = limit - CUT.len();
            while !bytes.is_char_boundary(at) {
                at -= 1;
            }
            bytes = &bytes[..at];
            end = CUT;
            self.remarks
                .push(format!("{name} is cut after {at} of {} bytes.", text.len()));
        }
        let size = bytes.len() + end.len();
        let mut header = tar::Header::new_gnu();
        header.set_size(size as u64);
        header.set_mode(0o644);
        header.set_mtime(self.time);
        let path = format!("{}/{name}", self.folder);
        let content = io::Read::chain(bytes.as_bytes(), end.as_bytes());
        self.tar.append_data(&mut header, path, content)?;
        self.left -= size.min(self.left);
        self.names.push(name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use super::*;

    fn unpacked(bytes: &[u8]) -> BTreeMap<String, String> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (name, text)
            })
            .collect()
    }

    #[test]
    fn what_is_too_long_is_cut_and_told() {
        let mut archive = Archive::new(Vec::new(), "b", 0);
        archive.text("short.txt", "token: abcdef").unwrap();
        archive.text("long.txt", &"ä".repeat(MAX_FILE)).unwrap();
        archive.remark("The logs are missing.");
        let files = unpacked(&archive.finish("About.").unwrap());
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["b/README.txt", "b/long.txt", "b/short.txt"]);
        assert_eq!(files["b/short.txt"], "token: <redacted>");
        assert!(files["b/long.txt"].len() <= MAX_FILE);
        assert!(files["b/long.txt"].ends_with(CUT));
        let about = &files["b/README.txt"];
        assert!(about.contains("long.txt is cut after"), "{about}");
        assert!(about.contains("The logs are missing."), "{about}");
    }

    #[test]
    fn a_full_bundle_leaves_out_what_comes_after_and_says_so() {
        let mut archive = Archive::new(Vec::new(), "b", 0);
        archive.left = MAX_FILE;
        archive.text("one.txt", &"a".repeat(MAX_FILE)).unwrap();
        archive.text("two.txt", "b").unwrap();
        let files = unpacked(&archive.finish("About.").unwrap());
        assert!(!files.contains_key("b/two.txt"));
        assert!(files["b/README.txt"].contains("two.txt is left out"));
    }
}
