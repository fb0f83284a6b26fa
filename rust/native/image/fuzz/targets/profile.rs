//! Whatever the text, a profile is read from it, and what it is written as reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nativecache_store::profile::merge::merge;
use nativecache_store::{Mode, Profile};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let read = Profile::parse(&text);
    let written = read.to_string();
    let again = Profile::parse(&written);
    assert_eq!(again.entries.keys().collect::<Vec<_>>(), read.entries.keys().collect::<Vec<_>>());
    assert_eq!(again.to_string(), written);
    // Half a file costs at most the line that was cut.
    let half = text.get(..text.len() / 2).unwrap_or_default();
    let kept = Profile::parse(half);
    let lost = kept.entries.keys().filter(|entry| !read.entries.contains_key(*entry)).count();
    assert!(lost <= 1, "{lost}");
    let mut both = read;
    merge(&mut both, &kept, Mode::Add);
    assert!(kept.entries.keys().all(|entry| both.entries.contains_key(entry)));
});
