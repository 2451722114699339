//! The one interface to the throttle, whichever enforces it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use tollgate_throttle::penalty::{Offence, Penalty};
use tollgate_throttle::source::Source;

use crate::forwarded::ForwardedPenalties;
use crate::kernel_maps::MapsError;
use crate::offences::{Offences, random_seed};
use crate::{AcceptFilter, KernelMaps, KernelThrottle, Outcome, Settings, Standing, StartError};

/// Throttles sources: in the kernel if that can be, else when they connect.
pub struct SourceThrottle {
    enforcement: Enforcement,
    offences: Option<Offences>,
    forwarded: ForwardedPenalties,
}

enum Enforcement {
    Kernel(Box<KernelThrottle>),
    /// And why not the kernel, if it was asked for.
    UserSpace(Box<AcceptFilter>, Option<StartError>),
}

/// Whether a connection may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admit,
    /// To be closed at once, without a byte.
    Refuse(Outcome),
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It is forgiven, for now; or the client is allowed or trusted.
    Noted,
    /// The client is in the penalty box for so long: its connections had better be closed.
    Penalised(Duration),
}

/// Where limits are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By the XDP program in the network driver.
    Native,
    /// By the XDP program after the driver: the kernel has made a socket buffer already.
    Generic,
    /// When connections are accepted.
    UserSpace,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Native, Self::Generic, Self::UserSpace];

    /// As in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::UserSpace => "user_space",
        }
    }
}

/// What runs, and why it isn't better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub mode: Mode,
    /// None: in user space, for all.
    pub interface: Option<String>,
    /// Why the mode isn't native. None: it is, or the kernel was not asked for.
    pub reason: Option<String>,
}

/// `native on eth0`, `user space (missing privileges: CAP_BPF)`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.mode {
            Mode::Native => "native",
            Mode::Generic => "generic",
            Mode::UserSpace => "user space",
        })?;
        if let Some(interface) = &self.interface {
            write!(f, " on {interface}")?;
        }
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// What was counted: packets in the kernel, connections in user space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counts {
    Packets(Vec<(Outcome, u64)>),
    Connections(Vec<(Outcome, u64)>),
}

impl SourceThrottle {
    /// Starts in the kernel if the settings say so. Where that fails and isn't required, in user
    /// space; [`Self::status`] has the reason.
    ///
    /// # Errors
    /// What is required cannot be.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        let enforcement = match &settings.kernel {
            None => Enforcement::UserSpace(accept_filter(settings)?, None),
            Some(kernel) => match KernelThrottle::start(kernel, settings) {
                Ok(throttle) => Enforcement::Kernel(Box::new(throttle)),
                Err(error) if kernel.required => return Err(error),
                Err(error) => Enforcement::UserSpace(accept_filter(settings)?, Some(error)),
            },
        };
        let offences = settings
            .penalties
            .as_ref()
            .map(Offences::new)
            .transpose()
            .map_err(StartError::Random)?;
        let forwarded = ForwardedPenalties::new(random_seed().map_err(StartError::Random)?);
        let throttle = Self { enforcement, offences, forwarded };
        throttle.remember_penalties();
        Ok(throttle)
    }

    /// Removes it from the kernel, unless another process has taken it over. The program itself
    /// goes with this process.
    pub fn stop(&self) {
        if let Enforcement::Kernel(kernel) = &self.enforcement {
            kernel.remove();
        }
    }

    /// What runs, and why it isn't better.
    pub fn status(&self) -> Status {
        match &self.enforcement {
            Enforcement::Kernel(kernel) => Status {
                mode: kernel.mode(),
                interface: Some(kernel.interface().to_owned()),
                reason: kernel.reason().map(str::to_owned),
            },
            Enforcement::UserSpace(_, error) => Status {
                mode: Mode::UserSpace,
                interface: None,
                reason: error.as_ref().map(ToString::to_string),
            },
        }
    }

    /// Whether a connection that was just accepted may go on. In the kernel's modes it may: its
    /// packets came through. What comes in by another interface than the kernel throttle's is not
    /// limited.
    ///
    /// In the kernel's modes this also makes the source known, which has proved with its
    /// handshake that it isn't made up. That is a load and a hash, and a system call the first
    /// time in some seconds.
    pub fn admit_connection(&self, address: IpAddr) -> Admission {
        match &self.enforcement {
            Enforcement::Kernel(kernel) => {
                kernel.introduce(address);
                Admission::Admit
            }
            Enforcement::UserSpace(filter, _) => match filter.outcome(address, crate::now()) {
                Outcome::Admitted | Outcome::Allowed => Admission::Admit,
                refused => Admission::Refuse(refused),
            },
        }
    }

    /// A client at the other end of a connection did what it shouldn't repeat. The address must
    /// be the connection's, not one that a header claims.
    pub fn report(&self, address: IpAddr, offence: Offence) -> Reported {
        let Some(offences) = &self.offences else {
            return Reported::Noted;
        };
        let now = crate::now();
        if !offences.are_too_many(self.source(address), offence, now) {
            return Reported::Noted;
        }
        let terms = offences.terms();
        let penalty = match &self.enforcement {
            Enforcement::Kernel(kernel) => kernel.penalise(address, now, terms),
            Enforcement::UserSpace(filter, _) => filter.penalise(address, now, terms),
        };
        // None given: perhaps it has one.
        let penalty = penalty.or_else(|| self.penalty(address)).filter(|it| it.is_active(now));
        penalty.map_or(Reported::Noted, |penalty| {
            Reported::Penalised(Duration::from_nanos(penalty.until - now))
        })
    }

    /// The same for a client behind a trusted proxy, by the address that the proxy forwards. Its
    /// packets are the proxy's: [`Self::forwarded_penalty`] has to be asked for its requests.
    pub fn report_forwarded(&self, address: IpAddr, offence: Offence) -> Reported {
        let reported = self.report(address, offence);
        if let Reported::Penalised(time) = reported {
            let until = crate::now().saturating_add(time.as_nanos() as u64);
            self.forwarded.note(self.source(address), until);
        }
        reported
    }

    /// How long a client behind a trusted proxy stays in the penalty box; none if it isn't in. A
    /// hash and a load, unless it may be.
    pub fn forwarded_penalty(&self, address: IpAddr) -> Option<Duration> {
        let now = crate::now();
        if !self.forwarded.may_have(self.source(address), now) {
            return None;
        }
        let penalty = self.penalty(address).filter(|it| it.is_active(now))?;
        Some(Duration::from_nanos(penalty.until - now))
    }

    /// Who an address is by the lists. What a trusted proxy says of its client is believed.
    pub fn standing(&self, address: IpAddr) -> Option<Standing> {
        match &self.enforcement {
            Enforcement::Kernel(kernel) => kernel.maps().standing(address),
            Enforcement::UserSpace(filter, _) => filter.standing(address),
        }
    }

    /// Takes over other limits, prefixes, listeners and lists, from the next packet or connection
    /// on. The interface and sizes stay as they are until the next start.
    ///
    /// # Errors
    /// The kernel's maps can't be written.
    pub fn reconfigure(&self, settings: &Settings) -> Result<(), MapsError> {
        match &self.enforcement {
            Enforcement::Kernel(kernel) => kernel.reconfigure(settings),
            Enforcement::UserSpace(filter, _) => {
                filter.reconfigure(settings);
                Ok(())
            }
        }
    }

    /// What was counted since the maps were made.
    ///
    /// # Errors
    /// The kernel's maps can't be read.
    pub fn counts(&self) -> Result<Counts, MapsError> {
        match &self.enforcement {
            Enforcement::Kernel(kernel) => kernel.maps().counts().map(Counts::Packets),
            Enforcement::UserSpace(filter, _) => Ok(Counts::Connections(filter.counts())),
        }
    }

    /// The kernel's maps, if it is the kernel that enforces.
    pub fn kernel_maps(&self) -> Option<&KernelMaps> {
        match &self.enforcement {
            Enforcement::Kernel(kernel) => Some(kernel.maps()),
            Enforcement::UserSpace(..) => None,
        }
    }

    /// The filter of connections, if that enforces.
    pub fn accept_filter(&self) -> Option<&AcceptFilter> {
        match &self.enforcement {
            Enforcement::Kernel(_) => None,
            Enforcement::UserSpace(filter, _) => Some(filter),
        }
    }

    /// Penalties of the process that this one has taken over from.
    fn remember_penalties(&self) {
        let sources = self.kernel_maps().and_then(|maps| maps.sources().ok());
        for source in sources.unwrap_or_default() {
            if let Some(until) = source.penalty_until {
                self.forwarded.note(self.source(source.address), until);
            }
        }
    }

    fn source(&self, address: IpAddr) -> Source {
        match &self.enforcement {
            Enforcement::Kernel(kernel) => kernel.source(address),
            Enforcement::UserSpace(filter, _) => filter.source(address),
        }
    }

    fn penalty(&self, address: IpAddr) -> Option<Penalty> {
        match &self.enforcement {
            Enforcement::Kernel(kernel) => kernel.maps().penalty(kernel.source(address)),
            Enforcement::UserSpace(filter, _) => filter.penalty(address),
        }
    }
}

fn accept_filter(settings: &Settings) -> Result<Box<AcceptFilter>, StartError> {
    AcceptFilter::new(settings).map(Box::new).map_err(StartError::Random)
}
