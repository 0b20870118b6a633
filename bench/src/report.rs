//! Results as Markdown, with the machine that gave them.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;

/// A table of results.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Column heads; the first column holds names.
    pub head: Vec<String>,
    /// Rows of cells.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these heads.
    pub fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self {
            head: head.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let line = |text: &mut String, cells: &[String]| {
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        line(&mut text, &self.head);
        line(&mut text, &vec!["---".to_owned(); self.head.len()]);
        for row in &self.rows {
            line(&mut text, row);
        }
        text
    }
}

/// The machine, in a line: processor, cores, memory, kernel.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024 / 1024);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{model}, {cores} cores, {memory} GiB, Linux {}",
        kernel.trim()
    )
}

/// Writes a page `<folder>/<name>.md`: title, how it was made, then `body`.
pub fn write(
    folder: &Path,
    name: &str,
    title: &str,
    command: &str,
    body: &str,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let path = folder.join(format!("{name}.md"));
    let text = format!(
        "# {title}\n\nCommand: `{command}`.\nMachine: {}.\n\n{}\n",
        machine(),
        body.trim_end()
    );
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}
