//! A setting on its way from JavaScript, and its conversion to the type of its field in
//! [`Settings`](crate::pressure::settings::Settings).

use std::fmt;
use std::time::Duration;

/// A value as JavaScript passes it.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingValue {
    /// `null`: the setting is not set.
    Unset,
    /// A number, in the unit of the setting.
    Number(f64),
    /// A switch.
    Flag(bool),
    /// A text, or one of the words of a choice.
    Text(String),
    /// The names and texts of an object, in its order.
    Pairs(Vec<(String, String)>),
}

/// Reports a setting that the engine does not take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SettingError {
    /// The engine has no setting of this name.
    Unknown(String),
    /// The value has another type than the setting.
    WrongType {
        /// The setting.
        name: &'static str,
        /// What its value must be.
        expected: &'static str,
    },
    /// The value has the right type and cannot be parsed.
    Invalid {
        /// The setting.
        name: &'static str,
        /// What is wrong with the value.
        problem: String,
    },
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "the engine has no setting \"{name}\""),
            Self::WrongType { name, expected } => {
                write!(f, "the engine setting \"{name}\" must be {expected}")
            }
            Self::Invalid { name, problem } => {
                write!(f, "the engine setting \"{name}\" is invalid: {problem}")
            }
        }
    }
}

impl std::error::Error for SettingError {}

/// A type that a setting can have.
pub trait SettingType: Sized {
    /// Completes "must be ...".
    const EXPECTED: &'static str;

    /// Converts a value; `None` for a value of another type.
    fn from_value(value: &SettingValue) -> Option<Self>;

    /// Converts back, to show what the engine holds.
    fn to_value(&self) -> SettingValue;
}

/// Declares `Settings`: the struct with the defaults of its fields, and access to a field by its
/// name.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr;)*) => {
        /// The settings of `docs/settings.md` that the engine reads, each by its name there.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Settings {
            /// Sets the setting of this name.
            pub fn set(&mut self, name: &str, value: &SettingValue) -> Result<(), SettingError> {
                match name {
                    $(stringify!($name) => {
                        self.$name = <$type>::from_value(value).ok_or_else(|| {
                            SettingError::WrongType {
                                name: stringify!($name),
                                expected: <$type>::EXPECTED,
                            }
                        })?;
                    })*
                    _ => return Err(SettingError::Unknown(name.to_owned())),
                }
                Ok(())
            }

            /// Lists every setting with its value.
            #[must_use]
            pub fn values(&self) -> Vec<(&'static str, SettingValue)> {
                vec![$((stringify!($name), self.$name.to_value()),)*]
            }
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }
    };
}

/// Declares the enum of a setting that is one of several words.
macro_rules! choice {
    ($(#[$doc:meta])* $type:ident: $expected:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl SettingType for $type {
            const EXPECTED: &'static str = $expected;

            fn from_value(value: &SettingValue) -> Option<Self> {
                match value {
                    $(SettingValue::Text(word) if word == $word => Some(Self::$variant),)*
                    _ => None,
                }
            }

            fn to_value(&self) -> SettingValue {
                let word = match self {
                    $(Self::$variant => $word,)*
                };
                SettingValue::Text(word.to_owned())
            }
        }
    };
}

pub(crate) use {choice, settings};

impl SettingType for Duration {
    const EXPECTED: &'static str = "a number of seconds";

    fn from_value(value: &SettingValue) -> Option<Self> {
        number(value).map(bounded_seconds)
    }

    fn to_value(&self) -> SettingValue {
        SettingValue::Number(self.as_secs_f64())
    }
}

/// Implements [`SettingType`] for an integer. The conversion saturates, as `as` does.
macro_rules! integer {
    ($($type:ty: $to_number:expr;)*) => {$(
        impl SettingType for $type {
            const EXPECTED: &'static str = "a number";

            fn from_value(value: &SettingValue) -> Option<Self> {
                number(value).map(|number| number as Self)
            }

            fn to_value(&self) -> SettingValue {
                let to_number: fn($type) -> f64 = $to_number;
                SettingValue::Number(to_number(*self))
            }
        }
    )*};
}

integer! {
    u32: f64::from;
    u64: |count| count as f64;
    usize: |count| count as f64;
}

impl SettingType for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_value(value: &SettingValue) -> Option<Self> {
        if let SettingValue::Flag(on) = value { Some(*on) } else { None }
    }

    fn to_value(&self) -> SettingValue {
        SettingValue::Flag(*self)
    }
}

impl SettingType for String {
    const EXPECTED: &'static str = "a text";

    fn from_value(value: &SettingValue) -> Option<Self> {
        if let SettingValue::Text(text) = value { Some(text.clone()) } else { None }
    }

    fn to_value(&self) -> SettingValue {
        SettingValue::Text(self.clone())
    }
}

impl SettingType for Option<String> {
    const EXPECTED: &'static str = "a text or null";

    fn from_value(value: &SettingValue) -> Option<Self> {
        match value {
            SettingValue::Unset => Some(None),
            SettingValue::Text(text) => Some(Some(text.clone())),
            _ => None,
        }
    }

    fn to_value(&self) -> SettingValue {
        self.clone().map_or(SettingValue::Unset, SettingValue::Text)
    }
}

impl SettingType for Vec<(String, String)> {
    const EXPECTED: &'static str = "an object of texts";

    fn from_value(value: &SettingValue) -> Option<Self> {
        if let SettingValue::Pairs(pairs) = value { Some(pairs.clone()) } else { None }
    }

    fn to_value(&self) -> SettingValue {
        SettingValue::Pairs(self.clone())
    }
}

/// Makes a duration of a number of seconds that a program may have set to any value, NaN and
/// Infinity included. What is not above 0 becomes 0.
#[must_use]
pub fn bounded_seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(if seconds > 0.0 { seconds.min(MAX_SECONDS) } else { 0.0 })
}

fn number(value: &SettingValue) -> Option<f64> {
    if let SettingValue::Number(number) = value { Some(*number) } else { None }
}

/// The longest duration of a setting: 31 years. `Duration` cannot hold every `f64`.
const MAX_SECONDS: f64 = 1e9;
