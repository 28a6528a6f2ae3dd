//! Where a setting's value lies: a field of `Settings`, read and written as a `Value`.
//!
//! Invariant: what is put in is within the bounds of the setting's kind, so that it fits its field. Of an optional limit zero is none.

use super::kind::Value;
use super::{LogLevel, Order, Profile};
use std::path::PathBuf;
use std::time::Duration;

/// A field.
pub(super) trait Slot {
    fn get(&self) -> Value;
    fn put(&mut self, value: Value);
}

impl Value {
    fn number(self) -> u64 {
        match self {
            Value::Number(number) => number,
            other => panic!("a number was expected of the setting's kind, found {other:?}"),
        }
    }

    fn time(self) -> Duration {
        match self {
            Value::Time(time) => time,
            other => panic!("a duration was expected of the setting's kind, found {other:?}"),
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text),
            Value::Unset => None,
            other => panic!("a text was expected of the setting's kind, found {other:?}"),
        }
    }
}

macro_rules! whole_numbers {
    ($($of:ty),*) => {
        $(impl Slot for $of {
            fn get(&self) -> Value {
                Value::Number(u64::try_from(*self).expect("a setting fits 64 bits"))
            }

            fn put(&mut self, value: Value) {
                *self = <$of>::try_from(value.number()).expect("the setting's kind has the bounds of its field");
            }
        })*
    };
}
whole_numbers!(u8, u32, u64, usize);

macro_rules! limits {
    ($($of:ty),*) => {
        $(impl Slot for Option<$of> {
            fn get(&self) -> Value {
                Value::Number(self.map_or(0, u64::from))
            }

            fn put(&mut self, value: Value) {
                let number = <$of>::try_from(value.number()).expect("the setting's kind has the bounds of its field");
                *self = (number > 0).then_some(number);
            }
        })*
    };
}
limits!(u16, u64);

impl Slot for Option<usize> {
    fn get(&self) -> Value {
        self.map_or(Value::Unset, |number| Value::Number(number as u64))
    }

    fn put(&mut self, value: Value) {
        *self = Some(usize::try_from(value.number()).expect("the setting's kind has the bounds of its field"));
    }
}

impl Slot for bool {
    fn get(&self) -> Value {
        Value::Truth(*self)
    }

    fn put(&mut self, value: Value) {
        match value {
            Value::Truth(truth) => *self = truth,
            other => panic!("a truth was expected of the setting's kind, found {other:?}"),
        }
    }
}

impl Slot for Duration {
    fn get(&self) -> Value {
        Value::Time(*self)
    }

    fn put(&mut self, value: Value) {
        *self = value.time();
    }
}

impl Slot for Option<Duration> {
    fn get(&self) -> Value {
        Value::Time(self.unwrap_or_default())
    }

    fn put(&mut self, value: Value) {
        *self = Some(value.time()).filter(|time| !time.is_zero());
    }
}

impl Slot for Option<String> {
    fn get(&self) -> Value {
        self.clone().map_or(Value::Unset, Value::Text)
    }

    fn put(&mut self, value: Value) {
        *self = value.text();
    }
}

impl Slot for Option<PathBuf> {
    fn get(&self) -> Value {
        self.as_ref().map_or(Value::Unset, |path| Value::Text(path.display().to_string()))
    }

    fn put(&mut self, value: Value) {
        *self = value.text().map(PathBuf::from);
    }
}

macro_rules! choices {
    ($($of:ty: $($choice:path),*;)*) => {
        $(impl Slot for $of {
            fn get(&self) -> Value {
                let at = [$($choice),*].iter().position(|choice| choice == self);
                Value::Number(at.expect("every choice is listed") as u64)
            }

            fn put(&mut self, value: Value) {
                let choices = [$($choice),*];
                *self = choices[(value.number() as usize).min(choices.len() - 1)];
            }
        })*
    };
}
// In the order of the words of their kinds. DEPTH_PRIORITY is 0 or anything above.
choices! {
    Order: Order::Lifo, Order::Fifo;
    Profile: Profile::Default, Profile::Broad;
    LogLevel: LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug;
}
