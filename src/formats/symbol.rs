//! From the exchange's spelling of a symbol to the host's.

/// Quote currencies of pairs, longer ones first.
const PAIR_QUOTES: [&str; 12] = [
    "fdusd", "usdt", "usdc", "busd", "usd", "btc", "eth", "bnb", "eur", "try", "brl", "jpy",
];

/// Quote currencies of dated and perpetual contracts (`BTCUSD_PERP`): here
/// `BNBUSD` is BNB in USD, not BN in BUSD.
const CONTRACT_QUOTES: [&str; 3] = ["usdt", "usdc", "usd"];

/// The host's spelling of an exchange's symbol: `BTCUSDT` is `btc_usdt`,
/// `BTCUSD_PERP` is `btc_usd_perp`.
///
/// A symbol that contains lower case is taken to be the host's spelling already. One without a
/// known quote currency is only lower-cased.
///
/// If two quote currencies fit, the longer one wins: `BTCBUSD` is `btc_busd`.
pub fn host_symbol(exchange: &str) -> String {
    if exchange.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return exchange.to_owned();
    }
    let lower = exchange.to_ascii_lowercase();
    let (pair, contract) = match lower.split_once('_') {
        Some((pair, contract)) => (pair, Some(contract)),
        None => (lower.as_str(), None),
    };
    let quotes: &[&str] = match contract {
        Some(_) => &CONTRACT_QUOTES,
        None => &PAIR_QUOTES,
    };
    let parts = quotes.iter().find_map(|quote| {
        let base = pair.strip_suffix(quote)?;
        (!base.is_empty()).then_some((base, quote))
    });
    match (parts, contract) {
        (Some((base, quote)), Some(contract)) => format!("{base}_{quote}_{contract}"),
        (Some((base, quote)), None) => format!("{base}_{quote}"),
        (None, _) => lower,
    }
}

#[cfg(test)]
mod tests {
    use super::host_symbol;

    #[test]
    fn spells_as_the_host_does() {
        for (exchange, host) in [
            ("BTCUSDT", "btc_usdt"),
            ("ETHUSDC", "eth_usdc"),
            ("BTCFDUSD", "btc_fdusd"),
            ("BTCBUSD", "btc_busd"),
            ("ETHBTC", "eth_btc"),
            ("DOTUSD", "dot_usd"),
            ("1000PEPEUSDT", "1000pepe_usdt"),
            ("BTCUSD_PERP", "btc_usd_perp"),
            ("BNBUSD_PERP", "bnb_usd_perp"),
            ("BTCUSDT_240927", "btc_usdt_240927"),
            ("btc_usdt", "btc_usdt"),
            ("USDT", "usdt"),
            ("ABC", "abc"),
            ("ABC_PERP", "abc_perp"),
            ("", ""),
        ] {
            assert_eq!(host_symbol(exchange), host, "{exchange}");
        }
    }
}
