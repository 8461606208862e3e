/* The contract as C sees it: presence of optional fields, the embedded descriptor set, and that
 * both agree. */
#include "airlore/proto_descriptors.h"
#include "airlore/testing.h"

#include "airlore/v1/admin.pb-c.h"
#include "airlore/v1/adr.pb-c.h"
#include "airlore/v1/common.pb-c.h"
#include "airlore/v1/deploy.pb-c.h"
#include "airlore/v1/generation.pb-c.h"
#include "airlore/v1/knowledge.pb-c.h"
#include "airlore/v1/leader.pb-c.h"
#include "airlore/v1/learning.pb-c.h"
#include "airlore/v1/market.pb-c.h"
#include "airlore/v1/node.pb-c.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"

/* Every service, as protobuf-c describes it; protobuf-c does not know which methods stream. */
static const ProtobufCServiceDescriptor *const services[] = {
    &airlore__v1__adr_service__descriptor,
    &airlore__v1__admin_service__descriptor,
    &airlore__v1__deploy_service__descriptor,
    &airlore__v1__generation_service__descriptor,
    &airlore__v1__knowledge_service__descriptor,
    &airlore__v1__leader_service__descriptor,
    &airlore__v1__learning_service__descriptor,
    &airlore__v1__market_service__descriptor,
    &airlore__v1__node_service__descriptor,
    &grpc__health__v1__health__descriptor,
    &grpc__reflection__v1__server_reflection__descriptor,
    &grpc__reflection__v1alpha__server_reflection__descriptor,
};

/* Every method that streams; all others are unary. */
static const struct {
    const char *name;
    bool client;
    bool server;
} streaming[] = {
    {"airlore.v1.AdminService.WatchJob", false, true},
    {"airlore.v1.AdrService.ExportAdrs", false, true},
    {"airlore.v1.DeployService.WatchDagRun", false, true},
    {"airlore.v1.GenerationService.WatchGeneration", false, true},
    {"airlore.v1.KnowledgeService.AskStream", false, true},
    {"airlore.v1.KnowledgeService.Ingest", true, true},
    {"airlore.v1.LearningService.Report", true, true},
    {"airlore.v1.NodeService.ReadCheckpoint", false, true},
    {"airlore.v1.NodeService.ReadSegment", false, true},
    {"airlore.v1.NodeService.RunMaintenance", false, true},
    {"grpc.health.v1.Health.Watch", false, true},
    {"grpc.reflection.v1.ServerReflection.ServerReflectionInfo", true, true},
    {"grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo", true, true},
};

#define N(array_) (sizeof(array_) / sizeof((array_)[0]))

static Google__Protobuf__FileDescriptorSet *unpack_set(void)
{
    Google__Protobuf__FileDescriptorSet *set = google__protobuf__file_descriptor_set__unpack(
        NULL, al_proto_descriptor_set_size, al_proto_descriptor_set);
    assert_non_null(set);
    return set;
}

/* Index into services, or N(services). */
static size_t find_service(const char *name)
{
    size_t i = 0;
    while (i < N(services) && strcmp(services[i]->name, name) != 0)
        i++;
    return i;
}

static void check_method(const ProtobufCServiceDescriptor *service,
                         const Google__Protobuf__MethodDescriptorProto *method, size_t *n_streaming)
{
    char name[256];
    snprintf(name, sizeof(name), "%s.%s", service->name, method->name);
    bool client = false;
    bool server = false;
    for (size_t i = 0; i < N(streaming); i++) {
        if (strcmp(streaming[i].name, name) == 0) {
            client = streaming[i].client;
            server = streaming[i].server;
            (*n_streaming)++;
        }
    }
    AL_CHECK(name, (method->client_streaming != 0) == client);
    AL_CHECK(name, (method->server_streaming != 0) == server);

    const ProtobufCMethodDescriptor *c =
        protobuf_c_service_descriptor_get_method_by_name(service, method->name);
    AL_CHECK(name, c != NULL);
    AL_CHECK(name, strcmp(method->input_type + 1, c->input->name) == 0);
    AL_CHECK(name, strcmp(method->output_type + 1, c->output->name) == 0);
}

static void test_descriptor_set_has_every_service_and_method(void **state)
{
    (void)state;
    Google__Protobuf__FileDescriptorSet *set = unpack_set();
    bool seen[N(services)] = {false};
    size_t n_streaming = 0;
    size_t n_methods = 0;
    for (size_t f = 0; f < set->n_file; f++) {
        const Google__Protobuf__FileDescriptorProto *file = set->file[f];
        for (size_t s = 0; s < file->n_service; s++) {
            char name[128];
            snprintf(name, sizeof(name), "%s.%s", file->package, file->service[s]->name);
            size_t at = find_service(name);
            AL_CHECK(name, at < N(services) && !seen[at]);
            seen[at] = true;
            AL_CHECK(name, file->service[s]->n_method == services[at]->n_methods);
            for (size_t m = 0; m < file->service[s]->n_method; m++, n_methods++)
                check_method(services[at], file->service[s]->method[m], &n_streaming);
        }
    }
    for (size_t i = 0; i < N(services); i++)
        AL_CHECK(services[i]->name, seen[i]);
    assert_int_equal(n_streaming, N(streaming));
    assert_true(n_methods > 100);
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
}

/* Reflection sends files as they are; a reader can load them only when every import came before. */
static void test_descriptor_set_is_in_order_of_imports(void **state)
{
    (void)state;
    Google__Protobuf__FileDescriptorSet *set = unpack_set();
    for (size_t f = 0; f < set->n_file; f++) {
        for (size_t d = 0; d < set->file[f]->n_dependency; d++) {
            size_t before = 0;
            while (before < f && strcmp(set->file[before]->name, set->file[f]->dependency[d]) != 0)
                before++;
            AL_CHECK(set->file[f]->dependency[d], before < f);
        }
    }
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
}

/* The set comes from the original files, so that clients see `optional` and not the rewritten
 * oneof. */
static void test_descriptor_set_keeps_proto3_optional(void **state)
{
    (void)state;
    Google__Protobuf__FileDescriptorSet *set = unpack_set();
    size_t n_optional = 0;
    for (size_t f = 0; f < set->n_file; f++) {
        for (size_t m = 0; m < set->file[f]->n_message_type; m++) {
            const Google__Protobuf__DescriptorProto *message = set->file[f]->message_type[m];
            for (size_t i = 0; i < message->n_field; i++) {
                if (message->field[i]->proto3_optional)
                    n_optional++;
            }
        }
    }
    assert_true(n_optional > 20);
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
}

static void test_optional_keeps_an_explicit_zero(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool present;
        uint32_t k;
        size_t size;
        uint8_t bytes[2];
    } cases[] = {
        {"absent", false, 0, 0, {0, 0}},
        {"explicit zero", true, 0, 2, {3 << 3, 0}},
        {"ten", true, 10, 2, {3 << 3, 10}},
    };
    for (size_t i = 0; i < N(cases); i++) {
        Airlore__V1__SearchRequest request = AIRLORE__V1__SEARCH_REQUEST__INIT;
        if (cases[i].present) {
            request._k_case = AIRLORE__V1__SEARCH_REQUEST___K_K;
            request.k = cases[i].k;
        }
        uint8_t bytes[16];
        AL_CHECK(cases[i].name,
                 airlore__v1__search_request__get_packed_size(&request) == cases[i].size);
        AL_CHECK(cases[i].name,
                 airlore__v1__search_request__pack(&request, bytes) == cases[i].size);
        AL_CHECK(cases[i].name, memcmp(bytes, cases[i].bytes, cases[i].size) == 0);

        Airlore__V1__SearchRequest *back =
            airlore__v1__search_request__unpack(NULL, cases[i].size, bytes);
        AL_CHECK(cases[i].name, back != NULL);
        AL_CHECK(cases[i].name,
                 (back->_k_case == AIRLORE__V1__SEARCH_REQUEST___K_K) == cases[i].present);
        AL_CHECK(cases[i].name, !cases[i].present || back->k == cases[i].k);
        AL_CHECK(cases[i].name,
                 back->_min_score_case == AIRLORE__V1__SEARCH_REQUEST___MIN_SCORE__NOT_SET);
        airlore__v1__search_request__free_unpacked(back, NULL);
    }
}

static void test_oneof_and_map_survive_a_round_trip(void **state)
{
    (void)state;
    char key[] = "airflow";
    char value[] = "3.0.2";
    char id[] = "d/2 \xc3\xbc";
    float vector[] = {0.5F, -0.25F};
    Airlore__V1__IngestItem__MetadataEntry entry = AIRLORE__V1__INGEST_ITEM__METADATA_ENTRY__INIT;
    entry.key = key;
    entry.value = value;
    Airlore__V1__IngestItem__MetadataEntry *entries[] = {&entry};
    Airlore__V1__IngestItem item = AIRLORE__V1__INGEST_ITEM__INIT;
    item.id = id;
    item.metadata = entries;
    item.n_metadata = 1;
    item.vector = vector;
    item.n_vector = 2;
    item.sequence = UINT64_MAX;
    Airlore__V1__IngestRequest request = AIRLORE__V1__INGEST_REQUEST__INIT;
    request.message_case = AIRLORE__V1__INGEST_REQUEST__MESSAGE_ITEM;
    request.item = &item;

    uint8_t bytes[256];
    assert_true(airlore__v1__ingest_request__get_packed_size(&request) <= sizeof(bytes));
    size_t size = airlore__v1__ingest_request__pack(&request, bytes);
    Airlore__V1__IngestRequest *back = airlore__v1__ingest_request__unpack(NULL, size, bytes);
    assert_non_null(back);
    assert_int_equal(back->message_case, AIRLORE__V1__INGEST_REQUEST__MESSAGE_ITEM);
    assert_string_equal(back->item->id, id);
    assert_int_equal(back->item->content_case, AIRLORE__V1__INGEST_ITEM__CONTENT__NOT_SET);
    assert_int_equal(back->item->n_metadata, 1);
    assert_string_equal(back->item->metadata[0]->value, value);
    assert_int_equal(back->item->n_vector, 2);
    assert_memory_equal(back->item->vector, vector, sizeof(vector));
    assert_true(back->item->sequence == UINT64_MAX);
    airlore__v1__ingest_request__free_unpacked(back, NULL);
}

/* ErrorInfo and Status are read by other libraries as google.rpc types: their numbers may never
 * change. */
static void test_error_details_have_the_public_numbers(void **state)
{
    (void)state;
    static const struct {
        const ProtobufCMessageDescriptor *message;
        const char *field;
        uint32_t number;
        ProtobufCType type;
    } cases[] = {
        {&airlore__v1__error_info__descriptor, "reason", 1, PROTOBUF_C_TYPE_STRING},
        {&airlore__v1__error_info__descriptor, "domain", 2, PROTOBUF_C_TYPE_STRING},
        {&airlore__v1__error_info__descriptor, "metadata", 3, PROTOBUF_C_TYPE_MESSAGE},
        {&airlore__v1__status__descriptor, "code", 1, PROTOBUF_C_TYPE_INT32},
        {&airlore__v1__status__descriptor, "message", 2, PROTOBUF_C_TYPE_STRING},
        {&airlore__v1__status__descriptor, "details", 3, PROTOBUF_C_TYPE_MESSAGE},
    };
    for (size_t i = 0; i < N(cases); i++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(cases[i].message, cases[i].field);
        AL_CHECK(cases[i].field, field != NULL);
        AL_CHECK(cases[i].field, field->id == cases[i].number && field->type == cases[i].type);
    }
}

/* Reasons are sent as names without their prefix, so each name must have it. */
static void test_every_reason_has_its_prefix(void **state)
{
    (void)state;
    static const char prefix[] = "ERROR_REASON_";
    const ProtobufCEnumDescriptor *reasons = &airlore__v1__error_reason__descriptor;
    assert_true(reasons->n_values > 80);
    for (unsigned i = 0; i < reasons->n_values; i++)
        AL_CHECK(reasons->values[i].name,
                 strncmp(reasons->values[i].name, prefix, sizeof(prefix) - 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptor_set_has_every_service_and_method),
        cmocka_unit_test(test_descriptor_set_is_in_order_of_imports),
        cmocka_unit_test(test_descriptor_set_keeps_proto3_optional),
        cmocka_unit_test(test_optional_keeps_an_explicit_zero),
        cmocka_unit_test(test_oneof_and_map_survive_a_round_trip),
        cmocka_unit_test(test_error_details_have_the_public_numbers),
        cmocka_unit_test(test_every_reason_has_its_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
