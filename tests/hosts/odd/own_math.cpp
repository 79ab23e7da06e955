// A host that exports its own mathematical functions, as a compiler's library brings them.
// Its arguments are model files with check files, which must pass all the same.
#include "../plugin.hpp"

using namespace host;

extern "C" {
double exp(double) { return 42.0; }
double log1p(double) { return 42.0; }
double log2(double) { return 42.0; }
float expf(float) { return 42.0F; }
float logf(float) { return 42.0F; }
}

int main(int argc, char **argv) {
  // The dynamic linker finds the host's function first.
  CHECK_EQ(reinterpret_cast<double (*)(double)>(dlsym(RTLD_DEFAULT, "exp"))(0.0), 42.0);
  Plugin plugin;
  for (int file = 1; file < argc; ++file) {
    const std::string config = R"({"factors":["market"],"model":")" + std::string(argv[file]) + R"("})";
    void *handle = plugin.create(config.c_str());
    if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
    CHECK(handle != nullptr);
    feed_and_settle(plugin, handle, 10);
    plugin.destroy(handle);
  }
  std::printf("%d models\n", argc - 1);
  return 0;
}
