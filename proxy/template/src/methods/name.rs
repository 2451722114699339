//! Names of methods, looked up when a template is parsed.

/// A method's name, and what it means for a string: strings have by far the most methods, and
/// templates call those most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MethodName<'n> {
    pub(crate) text: &'n str,
    pub(crate) of_string: Option<StringMethod>,
}

impl<'n> From<&'n str> for MethodName<'n> {
    fn from(text: &'n str) -> Self {
        Self { text, of_string: StringMethod::named(text) }
    }
}

macro_rules! string_methods {
    ($($method:ident = $name:literal),* $(,)?) => {
        /// A method of `java.lang.String`, without those of every object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum StringMethod {
            $($method),*
        }

        impl StringMethod {
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$method),)*
                    _ => None,
                }
            }

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$method => $name,)*
                }
            }
        }
    };
}

string_methods! {
    CharAt = "charAt",
    CodePointAt = "codePointAt",
    CompareTo = "compareTo",
    CompareToIgnoreCase = "compareToIgnoreCase",
    Concat = "concat",
    Contains = "contains",
    ContentEquals = "contentEquals",
    CopyValueOf = "copyValueOf",
    EndsWith = "endsWith",
    Equals = "equals",
    EqualsIgnoreCase = "equalsIgnoreCase",
    Format = "format",
    Formatted = "formatted",
    GetBytes = "getBytes",
    IndexOf = "indexOf",
    Intern = "intern",
    IsBlank = "isBlank",
    IsEmpty = "isEmpty",
    Join = "join",
    LastIndexOf = "lastIndexOf",
    Length = "length",
    Matches = "matches",
    RegionMatches = "regionMatches",
    Repeat = "repeat",
    Replace = "replace",
    ReplaceAll = "replaceAll",
    ReplaceFirst = "replaceFirst",
    Split = "split",
    StartsWith = "startsWith",
    Strip = "strip",
    StripLeading = "stripLeading",
    StripTrailing = "stripTrailing",
    SubSequence = "subSequence",
    Substring = "substring",
    ToCharArray = "toCharArray",
    ToLowerCase = "toLowerCase",
    ToUpperCase = "toUpperCase",
    Trim = "trim",
    ValueOf = "valueOf",
}
