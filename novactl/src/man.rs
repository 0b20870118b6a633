//! Man pages of novactl, one for each command.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Command;

/// Why there are no man pages.
#[derive(Debug, thiserror::Error)]
#[error("{folder} cannot be written ({source}): name another folder")]
pub struct ManError {
    folder: PathBuf,
    source: io::Error,
}

/// Writes a page for `command` and each command in it into `folder`, and tells how many there are.
pub fn write(command: &Command, folder: &Path) -> Result<usize, ManError> {
    let failed = |source: io::Error| ManError {
        folder: folder.to_path_buf(),
        source,
    };
    fs::create_dir_all(folder).map_err(failed)?;
    // The command 'help' that clap adds tells nothing that the pages do not.
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let mut count = 0;
    let mut commands = vec![command];
    while let Some(command) = commands.pop() {
        let page = clap_mangen::Man::new(command.clone());
        page.generate_to(folder).map_err(failed)?;
        count += 1;
        commands.extend(command.get_subcommands().cloned());
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::CommandFactory as _;

    use super::write;
    use crate::Arguments;

    #[test]
    fn every_command_has_a_page_with_its_flags_and_examples() {
        let folder = tempfile::tempdir().expect("a folder");
        let count = write(&Arguments::command(), folder.path()).expect("pages");
        let mut command = Arguments::command().disable_help_subcommand(true);
        command.build();
        let mut commands = vec![command];
        let mut seen = 0;
        while let Some(command) = commands.pop() {
            let name = command.get_display_name().unwrap_or(command.get_name());
            let file = folder.path().join(format!("{name}.1"));
            let page = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(page.contains(".TH "), "{name}");
            assert!(page.contains("Examples:"), "{name} has no examples");
            let flags = command.get_arguments().filter_map(clap::Arg::get_long);
            for flag in flags {
                let escaped = flag.replace('-', "\\-");
                assert!(page.contains(&escaped), "{name} lacks --{flag}");
            }
            seen += 1;
            commands.extend(command.get_subcommands().cloned());
        }
        assert_eq!(seen, count);
        let files = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, count, "no two commands share a page");
    }
}
