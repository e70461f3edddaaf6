//! What a load may ask of one machine. A scenario, the command line, the control API and the keys of the live view are all held to
//! these limits, by these functions.

use std::fmt;

use crate::units::{Rate, duration_from_seconds};

/// More users than one machine can hold.
pub const MOST_USERS: u32 = 1_000_000;
/// More arrivals per second than one machine can start.
pub const MOST_ARRIVALS: f64 = 1_000_000.0;

/// Why a load is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LimitError {
    NoUsers,
    TooManyUsers(u64),
    TooManyArrivals(Rate),
    /// A spawn rate of zero.
    NobodyComes,
    /// The last of these users would come after more than ten years.
    TooSlow {
        users: u32,
        rate: Rate,
    },
}

/// A number of users that one machine can have at the same time.
///
/// # Errors
/// It is zero, or too large.
pub fn users(users: u32) -> Result<u32, LimitError> {
    match users {
        0 => Err(LimitError::NoUsers),
        _ => total_users(u64::from(users)).map(|_| users),
    }
}

/// The users of several loads together.
///
/// # Errors
/// They are too many.
pub fn total_users(users: u64) -> Result<u64, LimitError> {
    if users > u64::from(MOST_USERS) { Err(LimitError::TooManyUsers(users)) } else { Ok(users) }
}

/// A rate of arrivals that one machine can start; zero is one.
///
/// # Errors
/// It is too high.
pub fn arrival_rate(rate: Rate) -> Result<Rate, LimitError> {
    if rate.per_second() > MOST_ARRIVALS { Err(LimitError::TooManyArrivals(rate)) } else { Ok(rate) }
}

/// A rate at which so many users come or go.
///
/// # Errors
/// Nobody would, or it would take years.
pub fn spawn_rate(users: u32, rate: Rate) -> Result<Rate, LimitError> {
    if rate.per_second() <= 0.0 {
        return Err(LimitError::NobodyComes);
    }
    if duration_from_seconds(ramp_seconds(users, rate)).is_err() {
        return Err(LimitError::TooSlow { users, rate });
    }
    Ok(rate)
}

/// How long it takes until all users are there.
pub fn ramp_seconds(users: u32, rate: Rate) -> f64 {
    f64::from(users.saturating_sub(1)) / rate.per_second().max(f64::MIN_POSITIVE)
}

// === impl LimitError ===

impl LimitError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoUsers => "give the number of users that run at the same time",
            Self::TooManyUsers(_) | Self::TooManyArrivals(_) => "spread such a load over several machines",
            Self::NobodyComes | Self::TooSlow { .. } => "give a rate such as `10/s`",
        }
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUsers => f.write_str("a load needs at least one user"),
            Self::TooManyUsers(users) => write!(f, "{users} users are more than the {MOST_USERS} that one machine may run"),
            Self::TooManyArrivals(rate) => write!(f, "{rate} are more arrivals than one machine can start"),
            Self::NobodyComes => f.write_str("at a rate of zero no users would come"),
            Self::TooSlow { users, rate } => {
                write!(f, "at {rate} the {users} users would take longer than ten years to come")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_inclusive() {
        let rate = |per_second| Rate::try_new(per_second).unwrap();
        assert_eq!((users(1), users(MOST_USERS)), (Ok(1), Ok(MOST_USERS)));
        assert_eq!((users(0), users(MOST_USERS + 1)), (Err(LimitError::NoUsers), Err(LimitError::TooManyUsers(1_000_001))));
        assert_eq!(total_users(u64::MAX), Err(LimitError::TooManyUsers(u64::MAX)));
        assert_eq!((arrival_rate(rate(0.0)), arrival_rate(rate(1e6))), (Ok(rate(0.0)), Ok(rate(1e6))));
        assert_eq!(arrival_rate(rate(1e12)), Err(LimitError::TooManyArrivals(rate(1e12))));
        assert_eq!((spawn_rate(10, rate(1.0)), spawn_rate(0, rate(1e-300))), (Ok(rate(1.0)), Ok(rate(1e-300))));
        assert_eq!(spawn_rate(10, rate(0.0)), Err(LimitError::NobodyComes));
        assert_eq!(spawn_rate(10, rate(1e-300)), Err(LimitError::TooSlow { users: 10, rate: rate(1e-300) }));
    }
}
