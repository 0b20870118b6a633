//! Results as Markdown, with the machine that gave them.

use std::{fmt::Write as _, fs, io::Write as _, path::Path};

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

    /// The table as comma-separated values.
    pub fn csv(&self) -> String {
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().map(|cell| cell.replace(',', ""));
            cells.collect::<Vec<_>>().join(",") + "\n"
        };
        [&self.head]
            .into_iter()
            .chain(&self.rows)
            .map(line)
            .collect()
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

/// A page of results with its data and plots, `<folder>/<name>.*`.
#[derive(Debug)]
pub struct Report<'a> {
    folder: &'a Path,
    name: &'a str,
    text: String,
}

impl<'a> Report<'a> {
    /// Begins a page. The summary takes its first paragraph, which says what was found.
    pub fn new(folder: &'a Path, name: &'a str, title: &str, finding: &str) -> Self {
        let text = format!(
            "# {title}\n\n{finding}\n\nMachine: {}.\nCommand: `bench/run.sh {name}`.\n",
            machine()
        );
        Self { folder, name, text }
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        let _ = write!(self.text, "\n{}\n", text.trim_end());
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) {
        self.paragraph(&table.markdown());
    }

    /// Adds a plot, which becomes the file `<name><suffix>.svg`.
    pub fn plot(&mut self, suffix: &str, title: &str, svg: &str) -> anyhow::Result<()> {
        let file = format!("{}{suffix}.svg", self.name);
        self.file(&file, svg)?;
        self.paragraph(&format!("![{title}]({file})"));
        Ok(())
    }

    /// Writes a table as data, which becomes the file `<name><suffix>.csv`.
    pub fn data(&mut self, suffix: &str, table: &Table) -> anyhow::Result<()> {
        let file = format!("{}{suffix}.csv", self.name);
        self.file(&file, &table.csv())?;
        self.paragraph(&format!("Data: [{file}]({file})."));
        Ok(())
    }

    /// Writes the page and shows it.
    pub fn finish(self) -> anyhow::Result<()> {
        let text = format!("{}\n", self.text.trim_end());
        self.file(&format!("{}.md", self.name), &text)?;
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }

    fn file(&self, name: &str, text: &str) -> anyhow::Result<()> {
        fs::create_dir_all(self.folder)
            .with_context(|| format!("creating {}", self.folder.display()))?;
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }
}
