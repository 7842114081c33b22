//! The testkit's own tests: a browser that lies would make every page test worthless.

mod browser;
mod program;
mod service;
mod shop;
