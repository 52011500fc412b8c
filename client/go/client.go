// Package client is an example of a Go client of CloneService: what a service that charges shoppers would keep in a
// package of its own, around the generated code in gen.
package client

import (
	_ "embed"
	"fmt"

	"google.golang.org/grpc"

	pb "cloneservice.example/client/gen/cloneservice/v1"
)

// The retry policy that all languages share. gRPC repeats what failed with UNAVAILABLE, with the same message and so
// with the same request_id: the service charges once, however often it is asked.
//
//go:embed gen/service_config.json
var serviceConfig string

// Dial connects to a CloneService. The options must say how the connection is secured: through the sidecar of a mesh
// that is insecure.NewCredentials().
func Dial(target string, options ...grpc.DialOption) (pb.CloneServiceClient, *grpc.ClientConn, error) {
	options = append([]grpc.DialOption{grpc.WithDefaultServiceConfig(serviceConfig)}, options...)
	connection, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to CloneService at %s: %w", target, err)
	}
	return pb.NewCloneServiceClient(connection), connection, nil
}
