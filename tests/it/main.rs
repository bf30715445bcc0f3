//! The tests on real parts, in one binary: a real homeserver, a real runtime, the bot's own process,
//! and a strict double of Discord. Run by `tests/run`.
#![recursion_limit = "256"]

#[path = "../doubles/mod.rs"]
mod doubles;
mod support;
mod world;

mod acts;
mod approval;
mod around;
mod change;
mod chats;
mod cli;
mod corners;
mod crash;
mod desk;
mod encrypted;
mod facts;
mod faults;
mod first_hour;
mod gaps;
mod hooked;
mod kills;
mod languages;
mod malformed;
mod memory;
mod messages;
mod model;
mod orders;
mod outages;
mod pages;
mod paper;
mod people;
mod plans;
mod points;
mod polls;
mod recordings;
mod reload;
mod replicas;
mod reviewer;
mod signs;
mod simulation;
mod site;
mod stages;
mod stores;
mod story;
mod times;
mod trouble;
mod upgrades;
mod watch;
mod window;
mod worker;
