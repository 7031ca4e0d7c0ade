//! The closed sets of words that a mapping chooses from.

macro_rules! words {
    ($($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+ })+) => {$(
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
        pub enum $name { $($(#[doc = $doc])+ #[schemars(rename = $word)] $variant,)+ }

        impl $name {
            /// Every word.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The first of them.
            pub const FIRST: Self = [$(Self::$variant),+][0];

            /// The variant of a word.
            pub fn of(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    )+};
}

words! {
    /// The ID type of an IS-Messenger channel.
    ContactIdKind {
        /// E.164 with a plus.
        Phone = "phone",
        /// Anything. The platform holds at most 50 letters, digits and `_ = + / @`; in place of another id it gets `c_` and 40
        /// digits, which lead back to the id. In a mapping `contact.id` is always the provider's own.
        Custom = "custom",
    }

    /// What kind of value a `config` item is.
    ConfigType {
        /// Text.
        Text = "text",
        /// True or false.
        Bool = "bool",
        /// A whole number.
        Int = "int",
        /// A URL.
        Url = "url",
        /// A map.
        Map = "map",
        /// A list.
        List = "list",
        /// JSON, as text or as it is.
        Json = "json",
        /// A template for `$render`: text in which `{{name}}` stands for what the mapping names so.
        Template = "template",
    }

    /// A signature algorithm.
    Algorithm {
        /// HMAC with SHA-1.
        HmacSha1 = "hmac-sha1",
        /// HMAC with SHA-256.
        HmacSha256 = "hmac-sha256",
        /// HMAC with SHA-512.
        HmacSha512 = "hmac-sha512",
        /// RSA (PKCS #1 v1.5) with SHA-256.
        RsaPkcs1Sha256 = "rsa-pkcs1-sha256",
        /// Ed25519.
        Ed25519 = "ed25519",
        /// ECDSA on the curve P-256 with SHA-256; ASN.1 or 64 bytes.
        EcdsaP256Sha256 = "ecdsa-p256-sha256",
    }

    /// How a JSON Web Token is signed.
    JwtAlgorithm {
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
        /// RSA (PKCS #1 v1.5) with SHA-256.
        Rs256 = "RS256",
        /// ECDSA on the curve P-256 with SHA-256.
        Es256 = "ES256",
    }

    /// How a body is encrypted.
    Cipher {
        /// AES-256-CBC; random bytes, a length, the text, and who it is for.
        Wecom = "wecom",
    }

    /// What a token of OAuth 2.0 is given for.
    Grant {
        /// The client's own secret.
        ClientCredentials = "client_credentials",
        /// A token of the channel's, which may be replaced each time.
        RefreshToken = "refresh_token",
    }

    /// How bytes are written as text.
    Encoding {
        /// Hexadecimal digits.
        Hex = "hex",
        /// Base64.
        Base64 = "base64",
        /// Base64 for URLs.
        Base64Url = "base64url",
    }

    /// How a body is read.
    Decode {
        /// As JSON.
        Json = "json",
        /// As a form, together with the query.
        Form = "form",
        /// As XML.
        Xml = "xml",
        /// As the fields and files of `multipart/form-data`, together with the query.
        Multipart = "multipart",
        /// As text.
        Text = "text",
        /// Not at all.
        None = "none",
    }

    /// What an event says happened.
    Emit {
        /// The contact wrote.
        Message = "message",
        /// The business wrote, from elsewhere.
        MessageEcho = "message_echo",
        /// A message moved on.
        MessageStatus = "message_status",
        /// The contact wants no more messages.
        OptOut = "opt_out",
        /// Something about the contact became known.
        Contact = "contact",
        /// Anything else worth counting.
        Event = "event",
    }

    /// What is counted in a text.
    Unit {
        /// Bytes of UTF-8.
        Bytes = "bytes",
        /// Characters (Unicode scalar values).
        Chars = "chars",
        /// UTF-16 code units.
        Utf16 = "utf16",
        /// Septets of the GSM 7-bit alphabet, of which the euro sign, the form feed and `^{}\[~]|` take two.
        /// A text with any other character is measured in UTF-16 code units, of which `max` then allows 70 for
        /// every 160, rounded down.
        Septets = "septets",
    }

    /// What happens to a text that is too long.
    Overflow {
        /// It becomes several parts.
        Split = "split",
        /// It is cut off.
        Truncate = "truncate",
        /// The message fails.
        Fail = "fail",
    }

    /// How attachments travel.
    AttachmentMode {
        /// A part for each.
        Each = "each",
        /// One part for all of them.
        OneRequest = "one_request",
        /// All with the first text.
        FirstPart = "first_part",
        /// As lines of text: the caption, then the file's name (or `Image`, `Video`, `Audio`, `File`) and its URL.
        AsText = "as_text",
        /// Not at all.
        Drop = "drop",
    }

    /// Where attachments stand.
    Order {
        /// Before the text.
        BeforeText = "before_text",
        /// After the text.
        AfterText = "after_text",
    }

    /// A kind of attachment.
    MediaKind {
        /// A picture.
        Image = "image",
        /// A film.
        Video = "video",
        /// Sound.
        Audio = "audio",
        /// Anything else.
        File = "file",
    }

    /// How a thing travels.
    Mode {
        /// As the provider's own kind.
        Native = "native",
        /// As text: a place as its name, its address and a link to a map, each in a line; quick replies as numbered lines.
        AsText = "as_text",
    }

    /// Which part carries quick replies.
    Carrier {
        /// The last text.
        Last = "last",
        /// The first text.
        First = "first",
    }

    /// What a header that tells of a reset counts.
    ResetUnit {
        /// Seconds to wait.
        Seconds = "seconds",
        /// Seconds since 1970, when the wait is over.
        Epoch = "epoch",
        /// Milliseconds to wait.
        Ms = "ms",
    }

    /// What becomes of a message that the provider may have taken.
    InDoubt {
        /// It is sent again, and may arrive twice.
        Retry = "retry",
        /// It is held back until an operator decides: `patchcord messages retry` sends it again, `drop` removes it.
        Hold = "hold",
    }

    /// What a response means.
    Meaning {
        /// Slow down: the whole lane waits.
        Throttle = "throttle",
        /// Try this message again.
        Retry = "retry",
        /// It will never work.
        Fail = "fail",
        /// The contact wants no messages.
        OptOut = "opt_out",
        /// A cached value that the request used, such as a token, is no good: it is fetched anew and the request made
        /// once more.
        Reauth = "reauth",
        /// The request is made once more, with the values of `with`.
        Redo = "redo",
    }
}
