/* A libnvidia-ml.so.1 without GPUs: answers from a text file that is read anew at every call.
 *
 * OCR_NVML_STUB_STATE names the file; builder.py writes it. One record per line:
 *
 *   gpu <uuid> <total> <reserved> <allocated>
 *   mig <index of its gpu> <uuid> <total> <reserved> <allocated>
 *   process <uuid> <pid> <bytes> <C|G>          bytes 18446744073709551615: not available
 *   error <function> <code> <uuid or *>         the function fails so for that device
 *
 * Structures and codes as in nvml.h of driver R510 and later. Only what the tests, pynvml and
 * Ray's GPU detection call.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
       INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };
enum { MAX_DEVICES = 16, MAX_PROCESSES = 64, MAX_ERRORS = 16, UUID_SIZE = 96, NO_PARENT = -1 };

typedef unsigned long long u64;
typedef struct { char uuid[UUID_SIZE]; int parent; u64 total, reserved, allocated; } Device;
typedef struct { char uuid[UUID_SIZE]; unsigned pid; u64 bytes; char kind; } Process;
typedef struct { char function[64]; int code; char uuid[UUID_SIZE]; } Failure;
typedef struct {
    int devices, processes, failures;
    Device device[MAX_DEVICES];
    Process process[MAX_PROCESSES];
    Failure failure[MAX_ERRORS];
} State;

typedef struct { u64 total, free, used; } MemoryV1;
typedef struct { unsigned version; u64 total, reserved, free, used; } MemoryV2;
typedef struct { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; } ProcessInfo;

static int sessions, starts;

/* For the tests: nvmlInit calls, and how many of them were not yet shut down. */
int nvml_stub_starts(void) { return starts; }
int nvml_stub_sessions(void) { return sessions; }

static int read_state(State *state) {
    const char *path = getenv("OCR_NVML_STUB_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    memset(state, 0, sizeof *state);
    if (!file) return UNKNOWN;
    while (fgets(line, sizeof line, file)) {
        Device *device = &state->device[state->devices];
        Process *process = &state->process[state->processes];
        Failure *failure = &state->failure[state->failures];
        if (state->devices < MAX_DEVICES
            && sscanf(line, "gpu %95s %llu %llu %llu", device->uuid, &device->total,
                      &device->reserved, &device->allocated) == 4) {
            device->parent = NO_PARENT;
            state->devices++;
        } else if (state->devices < MAX_DEVICES
                   && sscanf(line, "mig %d %95s %llu %llu %llu", &device->parent, device->uuid,
                             &device->total, &device->reserved, &device->allocated) == 5) {
            state->devices++;
        } else if (state->processes < MAX_PROCESSES
                   && sscanf(line, "process %95s %u %llu %c", process->uuid, &process->pid,
                             &process->bytes, &process->kind) == 4) {
            state->processes++;
        } else if (state->failures < MAX_ERRORS
                   && sscanf(line, "error %63s %d %95s", failure->function, &failure->code,
                             failure->uuid) == 3) {
            state->failures++;
        }
    }
    fclose(file);
    return SUCCESS;
}

/* The injected code for this function and device ("*" where there is none), or SUCCESS. */
static int injected(const State *state, const char *function, const char *uuid) {
    for (int i = 0; i < state->failures; i++) {
        const Failure *failure = &state->failure[i];
        if (!strcmp(failure->function, function)
            && (!strcmp(failure->uuid, "*") || !strcmp(failure->uuid, uuid)))
            return failure->code;
    }
    return SUCCESS;
}

static int begin(State *state, const char *function) {
    if (!sessions) return UNINITIALIZED;
    int code = read_state(state);
    return code ? code : injected(state, function, "*");
}

/* A handle is the device's place in the file, from 1. */
static void *to_handle(int place) { return (void *)(uintptr_t)(place + 1); }

static int begin_device(State *state, const char *function, void *handle, Device **device) {
    int code = begin(state, function);
    if (code) return code;
    uintptr_t place = (uintptr_t)handle;
    if (place < 1 || place > (uintptr_t)state->devices) return INVALID_ARGUMENT;
    *device = &state->device[place - 1];
    return injected(state, function, (*device)->uuid);
}

/* The place of the n-th device that has this parent. */
static int find_child(const State *state, int parent, unsigned n) {
    for (int i = 0; i < state->devices; i++)
        if (state->device[i].parent == parent && n-- == 0) return i;
    return -1;
}

static int gpu_index(const State *state, const Device *device) {
    int index = 0;
    for (const Device *other = state->device; other < device; other++)
        index += other->parent == NO_PARENT;
    return index;
}

int nvmlInitWithFlags(unsigned flags) {
    State state;
    (void)flags;
    int code = read_state(&state);
    if (!code) code = injected(&state, "nvmlInitWithFlags", "*");
    if (code) return code;
    sessions++, starts++;
    return SUCCESS;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    if (!sessions) return UNINITIALIZED;
    sessions--;
    return SUCCESS;
}

const char *nvmlErrorString(int code) { return code ? "stub error" : "success"; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    State state;
    int code = begin(&state, "nvmlDeviceGetCount_v2");
    if (code) return code;
    for (*count = 0; find_child(&state, NO_PARENT, *count) >= 0;) (*count)++;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    State state;
    int code = begin(&state, "nvmlDeviceGetHandleByIndex_v2");
    if (code) return code;
    int place = find_child(&state, NO_PARENT, index);
    if (place < 0) return INVALID_ARGUMENT;
    *handle = to_handle(place);
    return injected(&state, "nvmlDeviceGetHandleByIndex_v2", state.device[place].uuid);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    State state;
    int code = begin(&state, "nvmlDeviceGetHandleByUUID");
    if (code) return code;
    for (int i = 0; i < state.devices; i++)
        if (!strcmp(state.device[i].uuid, uuid)) {
            *handle = to_handle(i);
            return injected(&state, "nvmlDeviceGetHandleByUUID", uuid);
        }
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned size) {
    State state;
    Device *device;
    int code = begin_device(&state, "nvmlDeviceGetUUID", handle, &device);
    if (code) return code;
    if (strlen(device->uuid) + 1 > size) return INSUFFICIENT_SIZE;
    strcpy(uuid, device->uuid);
    return SUCCESS;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned size) {
    State state;
    Device *device;
    int code = begin_device(&state, "nvmlDeviceGetName", handle, &device);
    if (code) return code;
    snprintf(name, size, "Stub GPU");
    return SUCCESS;
}

/* Version 1 counts what the driver reserves as used, version 2 tells it by itself. */
int nvmlDeviceGetMemoryInfo(void *handle, MemoryV1 *memory) {
    State state;
    Device *device;
    int code = begin_device(&state, "nvmlDeviceGetMemoryInfo", handle, &device);
    if (code) return code;
    memory->total = device->total;
    memory->used = device->reserved + device->allocated;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, MemoryV2 *memory) {
    State state;
    Device *device;
    int code = begin_device(&state, "nvmlDeviceGetMemoryInfo_v2", handle, &device);
    if (code) return code;
    memory->total = device->total;
    memory->reserved = device->reserved;
    memory->used = device->allocated;
    memory->free = memory->total - memory->reserved - memory->used;
    return SUCCESS;
}

/* As NVML: without room the count alone, and INSUFFICIENT_SIZE unless it is 0. */
static int list(const char *function, char kind, void *handle, unsigned *count,
                ProcessInfo *infos) {
    State state;
    Device *device;
    int code = begin_device(&state, function, handle, &device);
    if (code) return code;
    unsigned room = infos ? *count : 0, found = 0;
    for (int i = 0; i < state.processes; i++) {
        const Process *process = &state.process[i];
        if (process->kind != kind || strcmp(process->uuid, device->uuid)) continue;
        if (found < room) infos[found] = (ProcessInfo){process->pid, process->bytes, ~0u, ~0u};
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

#define LIST(name, kind) \
    int name(void *handle, unsigned *count, ProcessInfo *infos) { \
        return list(#name, kind, handle, count, infos); \
    }
LIST(nvmlDeviceGetComputeRunningProcesses_v2, 'C')
LIST(nvmlDeviceGetComputeRunningProcesses_v3, 'C')
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, 'G')
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, 'G')

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    State state;
    Device *device;
    int code = begin_device(&state, "nvmlDeviceGetMigMode", handle, &device);
    if (code) return code;
    if (device->parent != NO_PARENT) return INVALID_ARGUMENT;
    if (find_child(&state, gpu_index(&state, device), 0) < 0) return NOT_SUPPORTED;
    *current = *pending = 1;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
    State state;
    Device *device;
    int code = begin_device(&state, "nvmlDeviceGetMaxMigDeviceCount", handle, &device);
    if (code) return code;
    *count = 7;
    return SUCCESS;
}

/* Number 0 is left out: on real GPUs the numbers have gaps. */
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned number, void **instance) {
    State state;
    Device *device;
    int code = begin_device(&state, "nvmlDeviceGetMigDeviceHandleByIndex", handle, &device);
    if (code) return code;
    int place = number ? find_child(&state, gpu_index(&state, device), number - 1) : -1;
    if (place < 0) return NOT_FOUND;
    *instance = to_handle(place);
    return SUCCESS;
}
