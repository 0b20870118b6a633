//! Pure, incremental translation of Gateway API objects into native objects and statuses.
