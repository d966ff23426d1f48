// Command sarama sends lines to a topic with that client as it is by default:
//
//	sarama BROKER TOPIC < lines
//
// Each line is a participant, a tab, and an event in structured mode. It is a
// module of its own, so that the product does not carry the client's dependencies.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/IBM/sarama"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(broker, topic string) error {
	cfg := sarama.NewConfig()
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer([]string{broker}, cfg)
	if err != nil {
		return err
	}
	var batch []*sarama.ProducerMessage
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "\t")
		batch = append(batch, &sarama.ProducerMessage{
			Topic: topic, Key: sarama.StringEncoder(key), Value: sarama.StringEncoder(value),
			Headers: []sarama.RecordHeader{{Key: []byte("content-type"), Value: []byte("application/cloudevents+json")}},
		})
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := producer.SendMessages(batch); err != nil {
		return err
	}
	return producer.Close()
}
