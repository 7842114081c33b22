//! The server's tests: the real router over a real prediction store that holds a synthetic shop.

mod app;
mod caching;
mod events;
mod graphql;
mod live;
mod operators;
mod pages;
mod rest;
mod shop;
