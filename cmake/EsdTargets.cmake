# A folder's CMakeLists.txt only declares. Targets are named by their path: engine/log/kafka has esd_log_kafka.
#
#   esd_library(NAME esd_store SOURCES a.cc DEPS absl::status)     a static library
#   esd_test(NAME store_test SOURCES a_test.cc DEPS esd_store)     GoogleTest, label "unit": no broker, no network
#   esd_broker_test(NAME a_test SOURCES … DEPS …)                  GoogleTest, label "broker": see below
#   esd_benchmark(NAME store_benchmark SOURCES … DEPS …)           Google Benchmark; not run by ctest
#   esd_proto(NAME esd_proto FILES v1/a.proto)                     generated code, without our warnings
#   esd_grpc(NAME esd_grpc FILES v1/a.proto DEPS esd_proto)        likewise, of the services in files of an esd_proto
#
# `unit_tests` builds every esd_test.
include(CMakeParseArguments)
include(GoogleTest)

add_custom_target(unit_tests)

function(esd_library)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;DEPS" ${ARGN})
  add_library(${ARG_NAME} STATIC ${ARG_SOURCES})
  target_include_directories(${ARG_NAME} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(${ARG_NAME} PRIVATE ${ESD_WARNINGS})
  target_link_libraries(${ARG_NAME} PUBLIC ${ARG_DEPS})
endfunction()

function(esd_binary)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SOURCES})
  target_include_directories(${ARG_NAME} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${ARG_NAME} PRIVATE ${ESD_WARNINGS})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS})
endfunction()

function(esd_test)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;DEPS" ${ARGN})
  esd_binary(NAME ${ARG_NAME} SOURCES ${ARG_SOURCES} DEPS ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  if(ESD_SANITIZE MATCHES thread)
    # Into each program, so that it stands before Abseil's shared library, which isn't instrumented.
    target_sources(${ARG_NAME} PRIVATE ${CMAKE_SOURCE_DIR}/tests/absl_mutex_tsan.cc)
    target_link_libraries(${ARG_NAME} PRIVATE ${CMAKE_DL_LIBS})
  endif()
  add_dependencies(unit_tests ${ARG_NAME})
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()

# Runs once per broker version, as a_test_kafka_4.1.0 and so on, on a broker that CTest starts before the first of these
# tests and stops after the last; its address is in the environment as ESD_TEST_BOOTSTRAP. One by hand:
#
#   ESD_TEST_BOOTSTRAP=$(scripts/kafka start) build/debug/bin/a_test
set(ESD_BROKER_VERSIONS 4.1.0 3.9.1)

# The fixture broker_VERSION, once.
function(esd_broker_fixture version)
  get_property(made GLOBAL PROPERTY ESD_BROKER_FIXTURE_${version})
  if(made)
    return()
  endif()
  set_property(GLOBAL PROPERTY ESD_BROKER_FIXTURE_${version} ON)
  set(script ${CMAKE_SOURCE_DIR}/tests/broker-fixture)
  foreach(step start stop)
    add_test(NAME broker_${version}_${step} COMMAND ${script} ${step} ${version} ${CMAKE_BINARY_DIR}/broker/${version})
    # The jars may have to be fetched first.
    set_tests_properties(broker_${version}_${step} PROPERTIES LABELS broker TIMEOUT 1200)
  endforeach()
  set_tests_properties(broker_${version}_start PROPERTIES FIXTURES_SETUP broker_${version})
  set_tests_properties(broker_${version}_stop PROPERTIES FIXTURES_CLEANUP broker_${version})
endfunction()

function(esd_broker_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  esd_binary(NAME ${ARG_NAME} SOURCES ${ARG_SOURCES} DEPS ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  foreach(version ${ESD_BROKER_VERSIONS})
    esd_broker_fixture(${version})
    set(test ${ARG_NAME}_kafka_${version})
    add_test(NAME ${test} COMMAND ${CMAKE_SOURCE_DIR}/tests/broker-fixture run ${CMAKE_BINARY_DIR}/broker/${version}
                                  $<TARGET_FILE:${ARG_NAME}>)
    # Serial: timeouts of sessions and transactions are part of what is tested.
    set_tests_properties(${test} PROPERTIES LABELS broker TIMEOUT ${ARG_TIMEOUT} RUN_SERIAL ON
                                            FIXTURES_REQUIRED broker_${version})
  endforeach()
endfunction()

function(esd_benchmark)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;DEPS" ${ARGN})
  esd_binary(NAME ${ARG_NAME} SOURCES ${ARG_SOURCES} DEPS ${ARG_DEPS} benchmark::benchmark_main)
endfunction()

# Files are given relative to proto/, or to ESD_PROTO_ROOT if it is set; headers are included as "esd/v1/a.pb.h".
function(esd_proto)
  cmake_parse_arguments(ARG "" "NAME" "FILES;DEPS" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/proto)
  set(root ${CMAKE_SOURCE_DIR}/proto)
  if(ESD_PROTO_ROOT)
    set(root ${ESD_PROTO_ROOT})
  endif()
  set(generated)
  foreach(file ${ARG_FILES})
    string(REGEX REPLACE "\\.proto$" "" stem ${file})
    add_custom_command(
      OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
      COMMAND protobuf::protoc --proto_path=${root} --cpp_out=${out}
              ${root}/${file}
      DEPENDS ${root}/${file}
      COMMENT "protoc ${file}")
    list(APPEND generated ${out}/${stem}.pb.cc)
  endforeach()
  add_library(${ARG_NAME} STATIC ${generated})
  target_include_directories(${ARG_NAME} SYSTEM PUBLIC ${out})
  target_link_libraries(${ARG_NAME} PUBLIC protobuf::libprotobuf ${ARG_DEPS})
endfunction()

# The generated messages of the same files come from the esd_proto in DEPS.
function(esd_grpc)
  cmake_parse_arguments(ARG "" "NAME" "FILES;DEPS" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/proto)
  set(generated)
  foreach(file ${ARG_FILES})
    string(REGEX REPLACE "\\.proto$" "" stem ${file})
    add_custom_command(
      OUTPUT ${out}/${stem}.grpc.pb.cc ${out}/${stem}.grpc.pb.h
      COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
      COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR}/proto --grpc_out=${out}
              --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin> ${CMAKE_SOURCE_DIR}/proto/${file}
      DEPENDS ${CMAKE_SOURCE_DIR}/proto/${file}
      COMMENT "protoc, gRPC ${file}")
    list(APPEND generated ${out}/${stem}.grpc.pb.cc)
  endforeach()
  add_library(${ARG_NAME} STATIC ${generated})
  target_include_directories(${ARG_NAME} SYSTEM PUBLIC ${out})
  target_link_libraries(${ARG_NAME} PUBLIC gRPC::grpc++ ${ARG_DEPS})
endfunction()
