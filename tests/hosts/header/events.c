/* A host that has nothing but signal.h, as C and as C++: prints how it lays the events
 * out, then gives one of each. */
#include "../../../include/signal.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE(type) printf("%s %zu\n", #type, sizeof(signal_##type##_t))
#define AT(type, field) printf("%s.%s %zu\n", #type, #field, offsetof(signal_##type##_t, field))
#define NUMBER(name) printf("%s %d\n", #name, SIGNAL_##name)

static void layout(void) {
  SIZE(depth), AT(depth, source_id), AT(depth, symbol), AT(depth, exchange_id), AT(depth, data_time);
  AT(depth, instrument_type), AT(depth, bid_price), AT(depth, ask_price), AT(depth, bid_volume), AT(depth, ask_volume);
  SIZE(ticker), AT(ticker, source_id), AT(ticker, symbol), AT(ticker, exchange_id), AT(ticker, data_time);
  AT(ticker, instrument_type), AT(ticker, bid_price), AT(ticker, bid_volume), AT(ticker, ask_price), AT(ticker, ask_volume);
  SIZE(trade), AT(trade, client_id), AT(trade, symbol), AT(trade, exchange_id), AT(trade, instrument_type);
  AT(trade, trade_id), AT(trade, ask_id), AT(trade, bid_id), AT(trade, price), AT(trade, volume), AT(trade, side);
  AT(trade, position_side), AT(trade, trade_time);
  SIZE(index_price), AT(index_price, symbol), AT(index_price, exchange_id), AT(index_price, instrument_type);
  AT(index_price, price);
  NUMBER(TYPE_DEPTH), NUMBER(TYPE_TICKER), NUMBER(TYPE_TRADE), NUMBER(TYPE_INDEX_PRICE);
  NUMBER(SIDE_BUY), NUMBER(SIDE_SELL), NUMBER(SYMBOL_LEN), NUMBER(EXCHANGE_LEN), NUMBER(LEVELS);
  NUMBER(INSTRUMENT_UNKNOWN), NUMBER(INSTRUMENT_FFUTURE), NUMBER(INSTRUMENT_DFUTURE), NUMBER(INSTRUMENT_FUTURE);
  NUMBER(INSTRUMENT_ETF), NUMBER(INSTRUMENT_SPOT), NUMBER(INSTRUMENT_INDEX), NUMBER(INSTRUMENT_SWAP);
}

static void *found(void *library, const char *name) {
  void *function = dlsym(library, name);
  if (function == NULL) exit(2);
  return function;
}

#define FUNCTION(name, returns, ...) returns (*name)(__VA_ARGS__); *(void **)&name = found(library, "signal_" #name)

static void on_signal(const char *symbol, long long timestamp, const double *values, int count, void *user_data) {
  (void)user_data;
  printf("signal %s %lld %d %g\n", symbol, timestamp, count, values[count - 1]);
}

int main(void) {
  signal_depth_t depth;
  signal_ticker_t ticker;
  signal_trade_t trade;
  signal_index_price_t index;
  signal_stats_t counted;
  void *handle, *library = dlopen(getenv("SIGNAL_LIB_PATH"), RTLD_LAZY | RTLD_NODELETE);
  if (library == NULL) return 2;
  FUNCTION(create, void *, const char *);
  FUNCTION(register_callback, void, void *, signal_callback_t, void *);
  FUNCTION(on_data, void, void *, int, const void *);
  FUNCTION(poll_callbacks, int, void *);
  FUNCTION(stats, int, void *, signal_stats_t *);
  FUNCTION(destroy, void, void *);
  layout();

  handle = create("{\"placement\": \"inline\", \"factors\": \"market\", \"model\": \"none\"}");
  if (handle == NULL) return 3;
  register_callback(handle, on_signal, NULL);
  memset(&ticker, 0, sizeof ticker), memset(&trade, 0, sizeof trade);
  memset(&index, 0, sizeof index), memset(&depth, 0, sizeof depth);
  strncpy(ticker.symbol, "btc_usdt", SIGNAL_SYMBOL_LEN), ticker.instrument_type = SIGNAL_INSTRUMENT_SWAP;
  ticker.bid_price = 99, ticker.ask_price = 101, ticker.bid_volume = ticker.ask_volume = 1;
  on_data(handle, SIGNAL_TYPE_TICKER, &ticker);
  strncpy(trade.symbol, "btc_usdt", SIGNAL_SYMBOL_LEN), trade.instrument_type = SIGNAL_INSTRUMENT_SWAP;
  trade.price = 100, trade.volume = 2, trade.side = SIGNAL_SIDE_SELL;
  on_data(handle, SIGNAL_TYPE_TRADE, &trade);
  strncpy(index.symbol, "btc_usdt", SIGNAL_SYMBOL_LEN), index.price = 50;
  on_data(handle, SIGNAL_TYPE_INDEX_PRICE, &index);
  strncpy(depth.symbol, "btc_usdt", SIGNAL_SYMBOL_LEN), depth.instrument_type = SIGNAL_INSTRUMENT_SWAP;
  depth.data_time = 7, depth.bid_price[0] = 99, depth.ask_price[0] = 101;
  depth.bid_volume[0] = depth.ask_volume[0] = 1;
  on_data(handle, SIGNAL_TYPE_DEPTH, &depth);
  if (poll_callbacks(handle) != 1) return 4;
  memset(&counted, 0, sizeof counted), counted.size = sizeof counted;
  stats(handle, &counted);
  printf("taken %d\n", (int)(counted.updates + counted.answered));
  destroy(handle);
  return 0;
}
