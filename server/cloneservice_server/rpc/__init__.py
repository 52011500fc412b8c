"""The gRPC border: the only package that knows protobuf and grpc."""
