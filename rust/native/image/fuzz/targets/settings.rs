//! Whatever the bytes, each line of a preference file stands for itself: what is read from a file is what is read from
//! the first of its lines that says something.
#![no_main]

use libfuzzer_sys::fuzz_target;

use nativecache_store::settings::{preference, Settings};

const NAMES: [&str; 6] = ["auto", "trace", "methods", "fade", "linker", ""];

fuzz_target!(|bytes: &[u8]| {
    for name in NAMES {
        let whole = preference(bytes, name);
        assert_eq!(whole, bytes.split(|b| *b == b'\n').find_map(|line| preference(line, name)));
        if let Some(value) = &whole {
            assert!(!value.contains(['\n', '"', '\0']));
            // As it would be written, it is read.
            assert_eq!(preference(format!("{name} = \"{value}\"").as_bytes(), name).as_ref(), Some(value));
        }
        // A line more changes nothing before it.
        let more = [bytes, format!("\n{name} = more").as_bytes()].concat();
        assert_eq!(preference(&more, name), whole.or_else(|| Some("more".to_owned())));
    }
    let settings = Settings::from(|name| preference(bytes, name));
    assert_eq!(settings, Settings::from(|name| preference(bytes, name)));
});
