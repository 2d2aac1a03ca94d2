"""keras.applications in one table: module of the preprocessing, input size, feature width."""

from __future__ import annotations

from typing import Final, NamedTuple


class KerasEntry(NamedTuple):
    """What Darkroom knows of one architecture.

    Attributes:
        module: Sub-module of keras.applications with its ``preprocess_input``.
        size: Height and width of the input in pixels, as trained.
        width: Length of the average-pooled feature vector.
    """

    module: str
    size: int
    width: int


KERAS_TABLE: Final = {
    "ConvNeXtBase": KerasEntry("convnext", 224, 1024),
    "ConvNeXtLarge": KerasEntry("convnext", 224, 1536),
    "ConvNeXtSmall": KerasEntry("convnext", 224, 768),
    "ConvNeXtTiny": KerasEntry("convnext", 224, 768),
    "ConvNeXtXLarge": KerasEntry("convnext", 224, 2048),
    "DenseNet121": KerasEntry("densenet", 224, 1024),
    "DenseNet169": KerasEntry("densenet", 224, 1664),
    "DenseNet201": KerasEntry("densenet", 224, 1920),
    "EfficientNetB0": KerasEntry("efficientnet", 224, 1280),
    "EfficientNetB1": KerasEntry("efficientnet", 240, 1280),
    "EfficientNetB2": KerasEntry("efficientnet", 260, 1408),
    "EfficientNetB3": KerasEntry("efficientnet", 300, 1536),
    "EfficientNetB4": KerasEntry("efficientnet", 380, 1792),
    "EfficientNetB5": KerasEntry("efficientnet", 456, 2048),
    "EfficientNetB6": KerasEntry("efficientnet", 528, 2304),
    "EfficientNetB7": KerasEntry("efficientnet", 600, 2560),
    "EfficientNetV2B0": KerasEntry("efficientnet_v2", 224, 1280),
    "EfficientNetV2B1": KerasEntry("efficientnet_v2", 240, 1280),
    "EfficientNetV2B2": KerasEntry("efficientnet_v2", 260, 1408),
    "EfficientNetV2B3": KerasEntry("efficientnet_v2", 300, 1536),
    "EfficientNetV2L": KerasEntry("efficientnet_v2", 480, 1280),
    "EfficientNetV2M": KerasEntry("efficientnet_v2", 480, 1280),
    "EfficientNetV2S": KerasEntry("efficientnet_v2", 384, 1280),
    "InceptionResNetV2": KerasEntry("inception_resnet_v2", 299, 1536),
    "InceptionV3": KerasEntry("inception_v3", 299, 2048),
    "MobileNet": KerasEntry("mobilenet", 224, 1024),
    "MobileNetV2": KerasEntry("mobilenet_v2", 224, 1280),
    "MobileNetV3Large": KerasEntry("mobilenet_v3", 224, 960),
    "MobileNetV3Small": KerasEntry("mobilenet_v3", 224, 576),
    "NASNetLarge": KerasEntry("nasnet", 331, 4032),
    "NASNetMobile": KerasEntry("nasnet", 224, 1056),
    "ResNet101": KerasEntry("resnet", 224, 2048),
    "ResNet101V2": KerasEntry("resnet_v2", 224, 2048),
    "ResNet152": KerasEntry("resnet", 224, 2048),
    "ResNet152V2": KerasEntry("resnet_v2", 224, 2048),
    "ResNet50": KerasEntry("resnet", 224, 2048),
    "ResNet50V2": KerasEntry("resnet_v2", 224, 2048),
    "VGG16": KerasEntry("vgg16", 224, 512),
    "VGG19": KerasEntry("vgg19", 224, 512),
    "Xception": KerasEntry("xception", 299, 2048),
}
