// A driver (libcuda.so.1) of CARDS cards (one, if that is not said) that are imagined: their memory is the processor's, a module is the
// library that `compiler.cc` made of a kernel, and a launch runs it there and then.
//
// DRIVER says what goes wrong:
//   old, bare, broken  it is too old, has no card, or fails at once;
//   short              it never gives more than 20 KB at a time;
//   lost               the first launch fails, and everything after it;
//   lost-once          so does the second one, in the first process that comes so far (the file FIRST);
//   rude               its card's name has a new line and a colour;
//   held               a launch stands while the file HOLD is there.
// Each launch is a line of the file LAUNCHES: the card, and the process.
// Bytes that are brought are a line of the file BROUGHT, and those that found no memory one of the file
// REFUSED. What each process has of the memory stands in the file MEMORY, if that is said.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>

enum { FINE = 0, INVALID_VALUE = 1, NO_MEMORY = 2, NO_DEVICE = 100, ILLEGAL_ADDRESS = 700,
       LAUNCH_FAILED = 719, UNKNOWN = 999 };

struct Function {
  size_t bytes, most_shared;
  bool (*run)(unsigned blocks, unsigned threads, size_t shared, const void* arguments);
};

static std::mutex one_at_a_time;
static int answer = FINE;  // what everything is answered with once a kernel failed
static int n_launches = 0;
static int card = 0;  // the one that this process uses

static bool is(const char* what) {
  const char* own = getenv("DRIVER");
  return own && !strcmp(own, what);
}

static const char* place(const char* name) {
  const char* own = getenv(name);
  return own ? own : "/dev/null";
}

static void note(const char* name, size_t number) {
  if (FILE* file = fopen(place(name), "a")) {
    fprintf(file, "%zu\n", number);
    fclose(file);
  }
}

// Bytes of all memory, and of what other programs leave.
static const size_t TOTAL = 3ull << 30, LEFT = 2ull << 30;
// What a process has of it.
struct Holder { long process; size_t n_bytes; };
static const int N_HOLDERS = 64;
static std::atomic<size_t> n_held{0};  // by this process

// Takes so many bytes, or gives them back; whether they are there. Of all processes one is in here.
static bool has(long n_bytes) {
  static std::mutex guard;
  const std::lock_guard<std::mutex> guarded(guard);
  static const int file = open(place("MEMORY"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  static Holder* const holders = [] {
    const size_t size = N_HOLDERS * sizeof(Holder);
    if (file < 0 || ftruncate(file, size) != 0) return (Holder*)MAP_FAILED;
    return (Holder*)mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }();
  if (holders == MAP_FAILED) return true;
  flock(file, LOCK_EX);
  Holder* own = nullptr;
  size_t n_free = LEFT;
  for (int i = 0; i < N_HOLDERS; ++i) {
    Holder& holder = holders[i];
    if (holder.process && kill(holder.process, 0) != 0 && errno == ESRCH) holder = Holder{0, 0};
    n_free -= holder.n_bytes;
    if (holder.process == getpid() || (!holder.process && !own)) own = &holder;
  }
  const bool is_there = own && (n_bytes < 0 || (size_t)n_bytes <= n_free);
  if (is_there) *own = Holder{getpid(), n_held += n_bytes};
  flock(file, LOCK_UN);
  return is_there;
}

// Memory with its size before it.
static const size_t HEAD = 64;

static int give(void** memory, size_t n) {
  if (answer != FINE) return answer;
  if ((is("short") && n > 20000) || !has(n)) {
    note("REFUSED", n);
    return NO_MEMORY;
  }
  char* own = (char*)malloc(HEAD + n);
  *(size_t*)own = n;
  *memory = own + HEAD;
  return FINE;
}

static int take_back(void* memory) {
  char* own = (char*)memory - HEAD;
  has(-(long)*(size_t*)own);
  free(own);
  return answer;
}

// Whether this launch is the one that fails.
static bool fails() {
  if (is("lost")) return true;
  if (!is("lost-once") || n_launches != 2) return false;
  const int first = open(place("FIRST"), O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (first >= 0) close(first);
  return first >= 0;
}

// Memory of the host that the card reads and writes by itself: nothing comes or goes by other memory.
// It is never taken away: threads may run when the process ends.
static auto& pinned = *new std::map<char*, size_t>;
static std::mutex pinning;

static bool is_pinned(const void* bytes, size_t n) {
  const std::lock_guard<std::mutex> guard(pinning);
  auto after = pinned.upper_bound((char*)bytes);
  if (after == pinned.begin()) return false;
  --after;
  return (char*)bytes + n <= after->first + after->second;
}

extern "C" {
int cuDriverGetVersion(int* version) { *version = is("old") ? 12080 : 13000; return FINE; }
int cuInit(unsigned) {
  while (is("stands")) sleep(1);
  if (is("dies")) abort();
  return is("bare") ? NO_DEVICE : is("broken") ? UNKNOWN : FINE;
}
int cuGetErrorString(int, const char** says) { *says = "an imagined error"; return FINE; }
int cuDeviceGetCount(int* n) {
  const char* own = getenv("CARDS");
  *n = own ? atoi(own) : 1;
  return FINE;
}
int cuDeviceGet(int* device, int number) { *device = number; return FINE; }
int cuDeviceGetName(char* name, int n, int) {
  strncpy(name, is("rude") ? "Imagined\n\x1b[31mCard" : "Imagined Card", n);
  return FINE;
}
int cuDeviceTotalMem_v2(size_t* n, int) { *n = TOTAL; return FINE; }
int cuDeviceGetAttribute(int* value, int which, int) {
  switch (which) {
    case 16: *value = 2; break;            // multiprocessors
    case 75: *value = 12; break;           // compute capability, for which no code is shipped
    case 81: *value = 228 << 10; break;    // shared bytes of a multiprocessor
    case 97: *value = 227 << 10; break;    // of a block
    case 115: *value = 1; break;           // memory in the order of a queue
    default: *value = 0;
  }
  return FINE;
}
int cuDevicePrimaryCtxRetain(void** context, int device) {
  card = device;
  *context = &answer;
  return answer;
}
int cuDevicePrimaryCtxRelease_v2(int) { return answer; }
int cuCtxGetCurrent(void** context) { *context = &answer; return FINE; }
int cuCtxSetCurrent(void*) { return FINE; }
int cuCtxSynchronize() { return answer; }
int cuStreamCreate(void** queue, unsigned) { *queue = malloc(1); return answer; }
int cuStreamDestroy_v2(void* queue) { free(queue); return answer; }
int cuStreamSynchronize(void*) { return answer; }
int cuStreamWaitEvent(void*, void*, unsigned) { return answer; }
int cuEventCreate(void** event, unsigned) { *event = calloc(1, sizeof(double)); return answer; }
int cuEventDestroy_v2(void* event) { free(event); return answer; }
int cuEventRecord(void* event, void*) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  *(double*)event = std::chrono::duration<double, std::milli>(now).count();
  return answer;
}
int cuEventSynchronize(void*) { return answer; }
int cuEventElapsedTime_v2(float* ms, void* from, void* to) {
  *ms = (float)(*(double*)to - *(double*)from);
  return answer;
}
int cuDeviceGetDefaultMemPool(void** pool, int) { *pool = &answer; return answer; }
int cuMemPoolSetAttribute(void*, int, void*) { return answer; }
// Nothing of what other programs have: who plans by it may find less.
int cuMemGetInfo_v2(size_t* n_free, size_t* n) {
  *n_free = LEFT - n_held;
  *n = TOTAL;
  return answer;
}
int cuMemAllocAsync(void** memory, size_t n, void*) {
  const int given = give(memory, n);
  if (given == FINE) memset(*memory, 0xA5, n);
  return given;
}
int cuMemAlloc_v2(void** memory, size_t n) { return give(memory, n); }
int cuMemHostAlloc(void** memory, size_t n, unsigned) {
  const std::lock_guard<std::mutex> guard(pinning);
  *memory = malloc(n);
  pinned[(char*)*memory] = n;
  return answer;
}
int cuMemFreeHost(void* memory) {
  const std::lock_guard<std::mutex> guard(pinning);
  pinned.erase((char*)memory);
  free(memory);
  return answer;
}
int cuMemFree_v2(void* memory) { return take_back(memory); }
int cuMemFreeAsync(void* memory, void*) { return take_back(memory); }
int cuMemsetD8Async(void* memory, unsigned char value, size_t n, void*) {
  memset(memory, value, n);
  return answer;
}
int cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t n, void*) {
  note("BROUGHT", n);
  if (!is_pinned(from, n)) return INVALID_VALUE;
  memcpy(to, from, n);
  return answer;
}
int cuMemcpyDtoDAsync_v2(void* to, const void* from, size_t n, void*) {
  memcpy(to, from, n);
  return answer;
}
int cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t n, void*) {
  if (!is_pinned(to, n)) return INVALID_VALUE;
  memcpy(to, from, n);
  return answer;
}
int cuModuleLoadData(void** module, const void* image) {
  *module = dlopen((const char*)image, RTLD_NOW | RTLD_LOCAL);
  if (!*module) fprintf(stderr, "%s\n", dlerror());
  return *module ? answer : UNKNOWN;
}
int cuModuleUnload(void*) { return answer; }
int cuModuleGetFunction(Function** function, void* module, const char*) {
  Function* own = (Function*)malloc(sizeof(Function));
  size_t (*bytes)() = (size_t (*)())dlsym(module, "shim_bytes");
  own->run = (decltype(own->run))dlsym(module, "shim_run");
  if (!bytes || !own->run) return UNKNOWN;
  own->bytes = bytes();
  own->most_shared = 44 << 10;
  *function = own;
  return answer;
}
int cuFuncGetAttribute(int* value, int, Function*) { *value = 4 << 10; return answer; }
int cuFuncSetAttribute(Function* function, int which, int value) {
  if (which == 8) function->most_shared = value;
  return answer;
}
int cuFuncGetParamInfo(Function* function, size_t, size_t* offset, size_t* size) {
  *offset = 0;
  *size = function->bytes;
  return answer;
}
int cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* n, Function*, int threads, size_t shared,
                                                        unsigned) {
  const size_t by_shared = (228 << 10) / (shared + (5 << 10));
  *n = (int)(by_shared < 2048u / threads ? by_shared : 2048u / threads);
  return answer;
}
int cuLaunchKernel(Function* function, unsigned blocks, unsigned, unsigned, unsigned threads,
                   unsigned, unsigned, unsigned shared, void*, void** parameters, void**) {
  const std::lock_guard<std::mutex> guard(one_at_a_time);
  if (answer != FINE) return answer;
  if (shared > function->most_shared || function->most_shared > (223u << 10)) return INVALID_VALUE;
  n_launches += 1;
  if (FILE* file = fopen(place("LAUNCHES"), "a")) {
    fprintf(file, "%d %d\n", card, (int)getpid());
    fclose(file);
  }
  if (fails()) return answer = ILLEGAL_ADDRESS;
  while (is("held") && access(place("HOLD"), F_OK) == 0) usleep(5000);
  if (!function->run(blocks, threads, shared, parameters[0])) return answer = LAUNCH_FAILED;
  return FINE;
}
}
