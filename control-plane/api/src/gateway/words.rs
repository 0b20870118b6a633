//! The enumerated words of the Gateway API.
//!
//! An open word keeps a value that it does not know in `Other`, since the specification asks for a status, not for a
//! refusal, when a listener or a route uses one. A closed word refuses it, as the CRD schema does.

use serde::{Deserialize, Serialize};

/// Defines an enum whose unknown values decode to `Other`.
macro_rules! open_word {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A word that this version of the API does not define.
            Other(String),
        }

        impl $name {
            /// The word as it stands in JSON.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(other) => other,
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)+
                    _ => Self::Other(text),
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Defines an enum whose unknown values are decoding errors.
macro_rules! closed_word {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// The word as it stands in JSON.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Implements `Default` with the default of the CRD schema.
macro_rules! word_default {
    ($($name:ident => $variant:ident,)+) => {
        $(impl Default for $name {
            fn default() -> Self {
                Self::$variant
            }
        })+
    };
}

open_word!(
    /// `ProtocolType`: what a listener speaks.
    ProtocolType {
        /// Plain HTTP/1.1 and HTTP/2.
        Http = "HTTP",
        /// HTTP inside TLS.
        Https = "HTTPS",
        /// TLS, passed through or terminated.
        Tls = "TLS",
        /// Byte streams.
        Tcp = "TCP",
        /// Datagrams.
        Udp = "UDP",
    }
);

open_word!(
    /// `AddressType` of a Gateway address.
    AddressType {
        /// A host name.
        Hostname = "Hostname",
        /// An IPv4 or IPv6 address.
        IpAddress = "IPAddress",
        /// A name that the implementation defines.
        NamedAddress = "NamedAddress",
    }
);

open_word!(
    /// `PathMatchType` of an HTTP path match.
    PathMatchType {
        /// The whole path, case-sensitive.
        Exact = "Exact",
        /// A prefix of whole path segments.
        PathPrefix = "PathPrefix",
        /// A regular expression over the whole path.
        RegularExpression = "RegularExpression",
    }
);

open_word!(
    /// `HeaderMatchType`, `QueryParamMatchType`, `GRPCHeaderMatchType` and `GRPCMethodMatchType`.
    MatchType {
        /// Equality.
        Exact = "Exact",
        /// A regular expression over the whole value.
        RegularExpression = "RegularExpression",
    }
);

open_word!(
    /// `HTTPRouteFilterType`, and `GRPCRouteFilterType`, which is a subset of it.
    HttpRouteFilterType {
        /// Changes request headers.
        RequestHeaderModifier = "RequestHeaderModifier",
        /// Changes response headers.
        ResponseHeaderModifier = "ResponseHeaderModifier",
        /// Copies requests to a second backend.
        RequestMirror = "RequestMirror",
        /// Answers with a redirect.
        RequestRedirect = "RequestRedirect",
        /// Rewrites host or path.
        UrlRewrite = "URLRewrite",
        /// A filter of the implementation.
        ExtensionRef = "ExtensionRef",
        /// Cross-origin resource sharing.
        Cors = "CORS",
        /// Asks an authorisation service.
        ExternalAuth = "ExternalAuth",
    }
);

open_word!(
    /// `ListenerFilterType` (experimental).
    ListenerFilterType {
        /// Asks an authorisation service.
        ExternalAuth = "ExternalAuth",
        /// A filter of the implementation.
        ExtensionRef = "ExtensionRef",
    }
);

open_word!(
    /// `HTTPPathModifierType` of redirects and rewrites.
    HttpPathModifierType {
        /// Replaces the whole path.
        ReplaceFullPath = "ReplaceFullPath",
        /// Replaces the matched prefix.
        ReplacePrefixMatch = "ReplacePrefixMatch",
    }
);

closed_word!(
    /// `FromNamespaces`: whose routes or listener sets may attach.
    FromNamespaces {
        /// Those of every namespace.
        All = "All",
        /// Those of namespaces that the selector chooses.
        Selector = "Selector",
        /// Those of the Gateway's own namespace.
        Same = "Same",
        /// Nobody's.
        None = "None",
    }
);

closed_word!(
    /// `TLSModeType` of a listener.
    TlsModeType {
        /// The gateway ends TLS.
        Terminate = "Terminate",
        /// The backend ends TLS.
        Passthrough = "Passthrough",
    }
);

closed_word!(
    /// `FrontendValidationModeType`: what happens to clients without a valid certificate.
    FrontendValidationModeType {
        /// They are refused.
        AllowValidOnly = "AllowValidOnly",
        /// They are let in.
        AllowInsecureFallback = "AllowInsecureFallback",
    }
);

closed_word!(
    /// `GatewayDefaultScope` (experimental): which routes a default Gateway adopts.
    GatewayDefaultScope {
        /// Every route that asks for default Gateways.
        All = "All",
        /// No route.
        None = "None",
    }
);

closed_word!(
    /// `HTTPMethod` of a match.
    HttpMethod {
        /// GET
        Get = "GET",
        /// HEAD
        Head = "HEAD",
        /// POST
        Post = "POST",
        /// PUT
        Put = "PUT",
        /// DELETE
        Delete = "DELETE",
        /// CONNECT
        Connect = "CONNECT",
        /// OPTIONS
        Options = "OPTIONS",
        /// TRACE
        Trace = "TRACE",
        /// PATCH
        Patch = "PATCH",
    }
);

closed_word!(
    /// `HTTPMethodWithWildcard` of a CORS filter.
    HttpMethodWithWildcard {
        /// GET
        Get = "GET",
        /// HEAD
        Head = "HEAD",
        /// POST
        Post = "POST",
        /// PUT
        Put = "PUT",
        /// DELETE
        Delete = "DELETE",
        /// CONNECT
        Connect = "CONNECT",
        /// OPTIONS
        Options = "OPTIONS",
        /// TRACE
        Trace = "TRACE",
        /// PATCH
        Patch = "PATCH",
        /// Every method.
        Any = "*",
    }
);

closed_word!(
    /// Scheme of a redirect.
    RedirectScheme {
        /// http
        Http = "http",
        /// https
        Https = "https",
    }
);

closed_word!(
    /// `HTTPRouteExternalAuthProtocol` (experimental).
    ExternalAuthProtocol {
        /// Plain HTTP authorisation requests.
        Http = "HTTP",
        /// Envoy's ext_authz over gRPC.
        Grpc = "GRPC",
    }
);

closed_word!(
    /// `SessionPersistenceType` (experimental).
    SessionPersistenceType {
        /// The session is named by a cookie.
        Cookie = "Cookie",
        /// The session is named by a header.
        Header = "Header",
    }
);

closed_word!(
    /// `CookieLifetimeType` (experimental).
    CookieLifetimeType {
        /// The cookie carries an expiry.
        Permanent = "Permanent",
        /// The cookie ends with the browser's session.
        Session = "Session",
    }
);

closed_word!(
    /// `SubjectAltNameType` of a BackendTLSPolicy.
    SubjectAltNameType {
        /// A DNS name.
        Hostname = "Hostname",
        /// A URI, such as a SPIFFE identity.
        Uri = "URI",
    }
);

word_default! {
    ProtocolType => Http,
    AddressType => IpAddress,
    PathMatchType => PathPrefix,
    MatchType => Exact,
    FromNamespaces => Same,
    TlsModeType => Terminate,
    FrontendValidationModeType => AllowValidOnly,
    SessionPersistenceType => Cookie,
    CookieLifetimeType => Session,
}
