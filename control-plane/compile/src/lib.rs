//! Pure compilation of native objects into snapshot resources.
