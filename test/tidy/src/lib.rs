//! Checks of the house style.
