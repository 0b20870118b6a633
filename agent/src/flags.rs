//! Flags that this program shares with `novaedge run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use http::HeaderName;
use novaedge_access_log::settings::Errors;
use novaedge_access_log::{Format, Redaction, Sampling, Settings, Target, Template};
use novaedge_telemetry::flags::ratio;

/// How the access log is kept. Without `--access-log` there is none.
#[derive(Clone, Debug, Args)]
#[allow(clippy::struct_field_names)] // they are the flags
pub struct AccessLogFlags {
    /// Writes a line for each request, connection and UDP session to this file; - is standard output
    #[arg(long, env = "NOVAEDGE_ACCESS_LOG", value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// How lines of the access log look
    #[arg(
        long,
        env = "NOVAEDGE_ACCESS_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "json"
    )]
    access_log_format: FormatFlag,
    /// Lines of the access log in a form of your own, such as '%{time} %{http.response.status_code}'; instead of a format
    #[arg(
        long,
        env = "NOVAEDGE_ACCESS_LOG_TEMPLATE",
        value_name = "TEMPLATE",
        value_parser = Template::parse
    )]
    access_log_template: Option<Template>,
    /// Header fields of requests that the access log has
    #[arg(
        long,
        env = "NOVAEDGE_ACCESS_LOG_REQUEST_HEADERS",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    access_log_request_headers: Vec<HeaderName>,
    /// Header fields of answers that the access log has
    #[arg(
        long,
        env = "NOVAEDGE_ACCESS_LOG_RESPONSE_HEADERS",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    access_log_response_headers: Vec<HeaderName>,
    /// Query parameters and header fields whose values are secrets, besides those that always are
    #[arg(
        long,
        env = "NOVAEDGE_ACCESS_LOG_REDACT",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    access_log_redact: Vec<String>,
    /// Share of the lines that is kept, from 0 to 1
    #[arg(
        long,
        env = "NOVAEDGE_ACCESS_LOG_SAMPLE",
        value_name = "SHARE",
        default_value = "1",
        value_parser = ratio
    )]
    access_log_sample: f64,
    /// What the share says of errors: keep tells them all, sample treats them like other lines
    #[arg(
        long,
        env = "NOVAEDGE_ACCESS_LOG_ERRORS",
        value_name = "WHICH",
        default_value = "keep"
    )]
    access_log_errors: ErrorsFlag,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatFlag {
    /// One object of JSON
    Json,
    /// As the combined log format, with more at its end
    Text,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ErrorsFlag {
    /// All are told
    Keep,
    /// They are told like other lines
    Sample,
}

impl AccessLogFlags {
    /// How the log is kept, if there is one.
    pub fn settings(self) -> Option<Settings> {
        let path = self.access_log?;
        let target = if path.as_os_str() == "-" {
            Target::Stdout
        } else {
            Target::File(path)
        };
        let format = match (self.access_log_template, self.access_log_format) {
            (Some(template), _) => Format::Template(template),
            (None, FormatFlag::Json) => Format::Json,
            (None, FormatFlag::Text) => Format::Text,
        };
        Some(Settings {
            target,
            format,
            request_headers: self.access_log_request_headers,
            response_headers: self.access_log_response_headers,
            redaction: Redaction::with(self.access_log_redact),
            sampling: Sampling {
                share: self.access_log_sample,
                errors: match self.access_log_errors {
                    ErrorsFlag::Keep => Errors::Kept,
                    ErrorsFlag::Sample => Errors::Sampled,
                },
            },
        })
    }
}
