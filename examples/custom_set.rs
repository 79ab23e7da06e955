//! A custom factor set in one file: the set, its tests, and an engine that runs it.
//!
//! ```sh
//! cargo run --example custom_set                      # a few built-in events
//! cargo run --example custom_set -- CAPTURE.csv.gz    # a recorded file
//! cargo test --example custom_set                     # the tests
//! ```

use std::error::Error;

use serde::Deserialize;
use signal::abi::{self, HostEvent};
use signal::factors::{Depth, FactorSet, Ranged};
use signal::replay::{self, Feed};
use signal::{Config, Engine, Registry};

/// Order flow at the best prices, and how far the sizes pull the price.
///
/// | factor | definition | unit |
/// |---|---|---|
/// | `flow` | order flow imbalance, a mean over about `span` books | size |
/// | `pull` | microprice - mid price | quote |
///
/// A book's flow is the size added at the best bid minus the size added at the best ask:
/// Cont, Kukanov and Stoikov, "The Price Impact of Order Book Events" (2014), section 2.
#[derive(Debug)]
struct OrderFlow {
    /// Weight of a new book, 2 / (span + 1).
    weight: f64,
    /// Best bid, best ask and their sizes in the previous book.
    before: Option<Best>,
    flow: f64,
    pull: f64,
}

#[derive(Clone, Copy, Debug)]
struct Best {
    bid: f64,
    ask: f64,
    bid_size: f64,
    ask_size: f64,
}

/// `{"span": 50}`: a wrong value or any other key is refused before anything starts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OrderFlowParams {
    span: Ranged<1, 100_000>,
}

impl Default for OrderFlowParams {
    fn default() -> Self {
        Self {
            span: const { Ranged::new(50) },
        }
    }
}

impl FactorSet<2> for OrderFlow {
    const NAME: &'static str = "order_flow";
    const FACTORS: [&'static str; 2] = ["flow", "pull"];
    const LEVELS: usize = 1;
    type Params = OrderFlowParams;

    fn new(params: &OrderFlowParams) -> Self {
        Self {
            weight: 2.0 / (params.span.get() as f64 + 1.0),
            before: None,
            flow: 0.0,
            pull: 0.0,
        }
    }

    fn on_depth(&mut self, depth: &Depth<'_>) {
        let now = Best {
            bid: depth.bid_price[0],
            ask: depth.ask_price[0],
            bid_size: depth.bid_volume[0],
            ask_size: depth.ask_volume[0],
        };
        if let Some(before) = self.before {
            let mut added = 0.0;
            if now.bid >= before.bid {
                added += now.bid_size;
            }
            if now.bid <= before.bid {
                added -= before.bid_size;
            }
            if now.ask <= before.ask {
                added -= now.ask_size;
            }
            if now.ask >= before.ask {
                added += before.ask_size;
            }
            self.flow += self.weight * (added - self.flow);
        }
        let size = now.bid_size + now.ask_size;
        self.pull = if size > 0.0 {
            let micro = (now.bid * now.ask_size + now.ask * now.bid_size) / size;
            micro - (now.bid + now.ask) / 2.0
        } else {
            0.0
        };
        self.before = Some(now);
    }

    fn write(&mut self, out: &mut [f64; 2]) {
        *out = [self.flow, self.pull];
    }
}

/// Four books of one instrument.
fn built_in() -> Feed {
    let mut feed = Feed::default();
    for (number, [bid, ask, bid_size, ask_size]) in [
        [100.0, 101.0, 2.0, 2.0],
        [100.0, 101.0, 5.0, 2.0],
        [100.0, 101.0, 5.0, 1.0],
        [101.0, 102.0, 1.0, 4.0],
    ]
    .into_iter()
    .enumerate()
    {
        let time = 1_720_000_000_000_000_000 + 100_000_000 * number as i64;
        let mut depth = abi::Depth {
            symbol: replay::fixed("btc_usdt"),
            exchange_id: replay::fixed(replay::EXCHANGE),
            instrument_type: replay::INSTRUMENT_TYPE,
            data_time: time.into(),
            ..bytemuck::Zeroable::zeroed()
        };
        depth.bid_price[0] = bid.into();
        depth.ask_price[0] = ask.into();
        depth.bid_volume[0] = bid_size.into();
        depth.ask_volume[0] = ask_size.into();
        feed.push(time, HostEvent::Depth(&depth));
    }
    feed
}

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    let feed = if files.is_empty() {
        built_in()
    } else {
        replay::read(&files)?
    };

    let mut registry = Registry::default();
    registry.factors.add::<OrderFlow, _>();
    // `inline`: all stages run in `on_event`. `none`: the signals are the factors themselves.
    let config = r#"{"factors": "order_flow", "model": "none", "placement": "inline"}"#;
    let mut engine = Engine::start_with(&Config::from_json(config)?, &registry)?;

    let mut signals = 0u64;
    let mut last = String::new();
    println!("symbol, time: {}", OrderFlow::FACTORS.join(", "));
    for event in feed.iter() {
        engine.on_event(event);
        engine.poll(|symbol, signal| {
            let time = signal.meta.timestamp;
            last = format!("{}, {time}: {:?}", symbol.as_str(), signal.values);
            signals += 1;
            if signals <= 5 {
                println!("{last}");
            }
        });
    }
    println!(
        "{} events, {signals} signals, the last: {last}",
        feed.events().len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use signal::testing;

    use super::*;

    /// The set alone: events in, factors out.
    #[test]
    fn a_larger_bid_is_flow_to_the_bid() -> Result<(), String> {
        let mut set = testing::instrument::<OrderFlow, _>(r#"{"span": 1}"#)?;
        set.on_depth(&Depth::from_values(0, &[100.0, 101.0, 2.0, 2.0]));
        assert_eq!(testing::vector(&mut set), [0.0, 0.0]);
        set.on_depth(&Depth::from_values(1, &[100.0, 101.0, 6.0, 2.0]));
        assert_eq!(testing::vector(&mut set), [4.0, 0.25]);
        Ok(())
    }

    /// A whole feed that passes the engine's own checks; a capture works the same way.
    #[test]
    fn a_feed_gives_a_vector_for_each_depth() -> Result<(), String> {
        let vectors = testing::run::<OrderFlow, _>(built_in().iter(), r#"{"span": 3}"#)?;
        let flows: Vec<_> = vectors.iter().map(|vector| vector.values[0]).collect();
        assert_eq!(flows, [0.0, 1.5, 1.25, 1.625]);
        assert!(
            vectors
                .iter()
                .all(|vector| vector.symbol.as_str() == "BTCUSDT")
        );
        Ok(())
    }

    #[test]
    fn a_wrong_span_is_refused() {
        let error = testing::instrument::<OrderFlow, _>(r#"{"span": 0}"#).unwrap_err();
        assert!(
            error.contains("span") && error.contains("from 1 to 100000"),
            "{error}"
        );
    }
}
