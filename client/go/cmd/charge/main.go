// Command charge clones a customer's default payment method to a connected account and charges it there.
//
//	go run ./cmd/charge TARGET CUSTOMER ACCOUNT MINOR_UNITS CURRENCY
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"cloneservice.example/client"
	pb "cloneservice.example/client/gen/cloneservice/v1"
)

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: charge TARGET CUSTOMER ACCOUNT MINOR_UNITS CURRENCY")
		os.Exit(2)
	}
	if err := charge(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
		if failure, ok := client.Explain(err); ok && failure.Reason == "CARD_DECLINED" {
			fmt.Fprintln(os.Stderr, "declined:", failure.Charge.GetDecline().GetDeclineCode())
		} else {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}

func charge(target, customer, account, units, currency string) error {
	minorUnits, err := strconv.ParseInt(units, 10, 64) // money is never a float
	if err != nil {
		return err
	}
	service, connection, err := client.Dial(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	done, err := service.CloneAndCharge(ctx, &pb.CloneAndChargeRequest{
		// One id for this purchase, best stored with the order before the first call: whoever asks again with it,
		// this process or the next one, gets the same charge.
		RequestId:          uuid.NewString(),
		PlatformCustomerId: customer,
		ConnectedAccountId: account,
		Charge:             &pb.ChargeOptions{Amount: &pb.Money{MinorUnits: minorUnits, CurrencyCode: currency}},
	})
	if err != nil {
		return err
	}
	fmt.Println(done.GetCharge().GetChargeId(), done.GetCharge().GetState())
	return nil
}
